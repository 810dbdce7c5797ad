//! Reading bodies of which nobody knows yet whether they are good for anything: how much of each is read, and how much of all of them is held.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

/// Bodies up to this size, in bytes, are read whatever else is held: most webhooks are no larger, and all connections together hold 16 MiB of them.
pub const SMALL: usize = 16 * 1024;
/// Most bytes of larger bodies that are held at the same time: as many as the largest body may have that a plan allows.
const MOST: usize = 16 * 1024 * 1024;
/// Most of these for one caller, unless a single body may be larger.
const MOST_OF_ONE: usize = MOST / 2;

/// Why a body is not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than is taken.
    TooLarge,
    /// It ended before it was whole.
    BrokenOff,
    /// It took too long.
    TooSlow,
    /// Too much is held already, of its caller or of all.
    NoRoom,
}

/// What is held of bodies larger than [`SMALL`], until they are answered.
#[derive(Debug, Default)]
pub struct Room(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// One request's share of it, which is given back when it is dropped.
#[derive(Debug)]
pub struct Share<'r> {
    room: &'r Room,
    caller: IpAddr,
    bytes: usize,
}

impl Room {
    /// The share of a caller's request; nothing yet.
    pub fn share(&self, caller: IpAddr) -> Share<'_> {
        Share { room: self, caller, bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share<'_> {
    /// Takes what is missing to this many bytes. Whether there was room; else nothing is taken. `most` is the size of the largest body.
    fn grow(&mut self, bytes: usize, most: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let mut held = self.room.held();
        let of_caller = held.of.get(&self.caller).copied().unwrap_or_default() + more;
        if held.all + more > MOST || of_caller > MOST_OF_ONE.max(most) {
            return false;
        }
        held.all += more;
        held.of.insert(self.caller, of_caller);
        self.bytes += more;
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.room.held();
        held.all = held.all.saturating_sub(self.bytes);
        if let Some(bytes) = held.of.get_mut(&self.caller) {
            *bytes = bytes.saturating_sub(self.bytes);
            if *bytes == 0 {
                held.of.remove(&self.caller);
            }
        }
    }
}

/// Reads a body of at most this many bytes. What it holds is counted as it comes in, whatever was said of its length.
///
/// # Errors
/// [`Unread`]. The rest of the body is not read then.
pub async fn read<B>(mut body: B, most: usize, share: &mut Share<'_>) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(Unread::TooLarge);
    }
    // Mostly there is one piece, which is left where it is. Pieces of a longer one are copied together: each may keep a whole buffer.
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Unread::BrokenOff)?.into_data() else { continue };
        let length = first.len() + all.len() + piece.len();
        if length > most {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
            continue;
        }
        if length > all.capacity() {
            let room = length.next_power_of_two().clamp(SMALL.min(most), most);
            if room > SMALL && !share.grow(room, most) {
                return Err(Unread::NoRoom);
            }
            all.reserve_exact(room - all.len());
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const MEBIBYTE: usize = 1024 * 1024;

    /// A body in pieces of this size, without a word on its length.
    fn body(bytes: usize, piece: usize) -> impl Body<Data = Bytes> + Unpin {
        let pieces = vec![7; bytes].chunks(piece).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        StreamBody::new(stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_in_whatever_pieces_it_comes() {
        let room = Room::default();
        for (bytes, piece) in [(0, 1), (100, 1), (SMALL, SMALL), (SMALL + 1, 999), (100_000, 65_536), (100_001, 1)] {
            let mut share = room.share(ONE);
            let read = read(body(bytes, piece), 100_001, &mut share).await.unwrap();
            assert_eq!(read, vec![7; bytes]);
        }
        assert_eq!(room.held().all, 0);
        assert!(room.held().of.is_empty());
        let mut share = room.share(ONE);
        assert_eq!(read(body(1001, 1001), 1000, &mut share).await, Err(Unread::TooLarge));
        assert_eq!(read(body(1001, 10), 1000, &mut share).await, Err(Unread::TooLarge));
    }

    #[tokio::test]
    async fn one_caller_gets_half_of_the_room_all_get_all_of_it_and_small_ones_need_none() {
        let room = Room::default();
        let take = async |caller, bytes, most| {
            let mut share = room.share(caller);
            read(body(bytes, 4096), most, &mut share).await.map(|_| share)
        };
        let mut held: Vec<Share> = Vec::new();
        for caller in [ONE, OTHER] {
            for _ in 0..8 {
                held.push(take(caller, MEBIBYTE, MEBIBYTE).await.unwrap());
            }
            assert_eq!(take(caller, MEBIBYTE, MEBIBYTE).await.unwrap_err(), Unread::NoRoom);
        }
        let third = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
        assert_eq!(take(third, SMALL + 1, MEBIBYTE).await.unwrap_err(), Unread::NoRoom);
        assert!(take(third, SMALL, MEBIBYTE).await.is_ok());
        held.clear();
        assert!(take(third, MOST, MOST).await.is_ok(), "the largest body that a plan allows");
    }
}
