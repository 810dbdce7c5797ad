//! The webhooks that are sent, and how: as fast as they are acknowledged, or at a rate that does not wait for answers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::future::try_join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::Sha256;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};

use crate::contestant::PATH;

/// An event, signed before anything is measured.
struct Event {
    id: String,
    signature: String,
    body: Bytes,
}

/// All events of a run.
pub struct Events {
    flood: Arc<Vec<Event>>,
    paced: Arc<Vec<Event>>,
}

impl Events {
    /// So many of each kind, all of different orders.
    ///
    /// # Errors
    /// When the secret is none.
    pub fn signed(flood: usize, paced: usize, secret: &str) -> Result<Self> {
        let events = |first: usize, count: usize| -> Result<Arc<Vec<Event>>> {
            (first..first + count).map(|id| Event::signed(id, secret)).collect::<Result<Vec<_>>>().map(Arc::new)
        };
        Ok(Self { flood: events(1, flood)?, paced: events(flood + 1, paced)? })
    }

    /// Sends as fast as events are acknowledged. Gives how many are, a second.
    ///
    /// # Errors
    /// When one is not acknowledged.
    pub async fn flood(&self, address: SocketAddr, connections: usize) -> Result<f64> {
        let begun = Instant::now();
        let senders = (0..connections).map(|place| {
            let events = Arc::clone(&self.flood);
            tokio::spawn(async move {
                let mut connection = connect(address).await?;
                for event in events.iter().skip(place).step_by(connections) {
                    send(&mut connection, event).await?;
                }
                anyhow::Ok(())
            })
        });
        for sender in try_join_all(senders).await? {
            sender?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
        Ok(self.flood.len() as f64 / begun.elapsed().as_secs_f64())
    }

    /// Sends at a rate. Gives how many milliseconds passed between the moment each was to be sent and its answer.
    ///
    /// # Errors
    /// When one is not acknowledged.
    pub async fn paced(&self, address: SocketAddr, connections: usize, rate: u32) -> Result<Vec<f64>> {
        let begun = Instant::now() + Duration::from_millis(200);
        let between = Duration::from_secs(1) / rate;
        let senders = (0..connections).map(|place| {
            let events = Arc::clone(&self.paced);
            tokio::spawn(async move {
                let mut connection = connect(address).await?;
                let mut waits = Vec::new();
                for (number, event) in events.iter().enumerate().skip(place).step_by(connections) {
                    let at = begun + between * u32::try_from(number)?;
                    sleep_until(at).await;
                    send(&mut connection, event).await?;
                    waits.push(at.elapsed().as_secs_f64() * 1000.0);
                }
                anyhow::Ok(waits)
            })
        });
        let mut all = Vec::new();
        for waits in try_join_all(senders).await? {
            all.extend(waits?);
        }
        Ok(all)
    }
}

impl Event {
    fn signed(id: usize, secret: &str) -> Result<Self> {
        let lines: Vec<_> = (0..3)
            .map(|line| json!({"id": id * 10 + line, "sku": format!("sku-{line}"), "quantity": line + 1, "price": "19.90", "title": "A shirt"}))
            .collect();
        let address = json!({"name": "Jane Doe", "address1": "1 Main Street", "city": "Springfield", "zip": "12345", "country_code": "US"});
        let order = json!({
            "id": id, "name": format!("#{id}"), "created_at": "2026-07-01T09:00:00Z", "updated_at": "2026-07-01T09:00:00Z", "cancelled_at": null,
            "currency": "USD", "note": null, "customer": {"id": id, "email": format!("customer-{id}@example.com")}, "shipping_address": address,
            "line_items": lines, "total_price": "119.40",
        });
        let body = order.to_string().into_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
        mac.update(&body);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        Ok(Self { id: format!("event-{id}"), signature, body: body.into() })
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // One that ends is said by the request that needs it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn send(connection: &mut SendRequest<Full<Bytes>>, event: &Event) -> Result<()> {
    let request = Request::post(PATH)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("x-shopify-topic", "orders/create")
        .header("x-shopify-webhook-id", &event.id)
        .header("x-shopify-hmac-sha256", &event.signature)
        .body(Full::new(event.body.clone()))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    ensure!(status == 200, "a webhook was answered with {status}");
    Ok(())
}
