//! One renewal of one token, step by step: claim it, ask for it, store the refresh token that came with it, hand it out. Each step is written down
//! before the next is taken, so that whoever comes after a crash knows how far it came; docs/adr/0014 lists what is found then.

use std::time::Duration;

use crosstie_connect::{
    CallFailure, FailureKind,
    grants::{self, GrantFailure, Granted, Remains, TokenRequest},
};
use crosstie_crds::condition::Reason;
use crosstie_engine::{credentials::CredentialVersion, plan::System};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    Errand,
    books::{Books, BooksFault, Revision},
    decision::{Decision, Facts, decide},
    exchange,
    ledger::{Claim, Ledger, Source, Spent},
    seats::{Seat, Seats},
};
use crate::vault::{SecretKey, VaultFault};

/// How long a claim counts: longer than asking for a token and storing what comes of it take.
pub const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// How often is begun anew when others write at the same time.
const ATTEMPTS: usize = 5;
/// Wait before something that has to be written is tried again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest such wait: a claim is made again well before it ends.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Where refresh tokens are stored.
pub trait Safe: Send + Sync + 'static {
    /// The version to use now.
    fn read(&self, key: &SecretKey) -> impl Future<Output = Result<CredentialVersion, VaultFault>> + Send;

    /// Stores a version beside the one to use. Storing the same again is no harm.
    fn store(
        &self,
        key: &SecretKey,
        version: &CredentialVersion,
    ) -> impl Future<Output = Result<(), VaultFault>> + Send;

    /// Makes a stored version the one to use, in the place of another one and of no other.
    fn promote(
        &self,
        key: &SecretKey,
        version_id: &str,
        replacing: &str,
    ) -> impl Future<Output = Result<Promoted, VaultFault>> + Send;
}

/// What became of a version that was to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promoted {
    /// It is the one to use.
    Current,
    /// Somebody put another one there, which stays.
    Superseded,
    /// There is no such version.
    Unknown,
}

/// Something that grants tokens.
pub trait Grantor: Send + Sync + 'static {
    /// Asks once.
    fn fetch(
        &self,
        system: &System,
        request: &TokenRequest,
        nonce: &str,
    ) -> impl Future<Output = Result<Granted, GrantFailure>> + Send;
}

/// What a renewal is done with.
pub struct Renewals<B, S, G, N> {
    /// Where ledgers are kept.
    pub books: B,
    /// Where refresh tokens are stored.
    pub safe: S,
    /// Who grants tokens.
    pub grantor: G,
    /// The present.
    pub now: N,
    /// Gives an id that it never gave before.
    pub id: fn() -> String,
    /// Who may be at a call.
    pub seats: Seats,
    /// From then on nothing is tried again.
    pub stop: CancellationToken,
}

/// What came of an errand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is kept, as it was last read or written, and which version of it that is.
    pub kept: Option<(Ledger, Revision)>,
    /// What went wrong, if something did.
    pub trouble: Option<Trouble>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason, and a sentence for people.
    pub fault: VaultFault,
    /// How long the server asks to wait.
    pub wait: Option<Duration>,
}

impl From<VaultFault> for Trouble {
    fn from(fault: VaultFault) -> Self {
        Self { fault, wait: None }
    }
}

/// How an attempt ended without trouble.
enum Next {
    Done,
    /// Somebody else wrote meanwhile, or something was cleared up: look again.
    Again,
}

/// A renewal in the hands of whoever claimed it.
struct Claimed {
    ledger: Ledger,
    revision: Revision,
    id: String,
    asked_at: Timestamp,
    /// The refresh token that is used, if there is one.
    refresh: Option<CredentialVersion>,
    early: bool,
    /// Held for calls, not while something is waited for.
    seat: Option<Seat>,
    /// Somebody else took it over: nothing is written any more.
    lost: bool,
}

impl<B: Books, S: Safe, G: Grantor, N: Fn() -> Timestamp + Send + Sync> Renewals<B, S, G, N> {
    /// Does what is to be done about one Connector's token now, which may be nothing. `tell` hears of what takes longer, and says whether the Connector
    /// is still there.
    pub async fn attend(&self, errand: &Errand, seat: Seat, tell: &(impl Fn(Outcome) -> bool + Sync)) -> Outcome {
        let (mut kept, mut seat) = (None, Some(seat));
        for _ in 0..ATTEMPTS {
            match self.attempt(errand, &mut seat, &mut kept, tell).await {
                Ok(Next::Done) => return Outcome { kept, trouble: None },
                Ok(Next::Again) => {}
                Err(trouble) => return Outcome { kept, trouble: Some(trouble) },
            }
        }
        let message = "what is kept of the tokens changed each time it was read; it is read again shortly";
        Outcome { kept, trouble: Some(VaultFault::new(Reason::TokenUnavailable, message).into()) }
    }

    async fn attempt(
        &self,
        errand: &Errand,
        seat: &mut Option<Seat>,
        known: &mut Option<(Ledger, Revision)>,
        tell: &(impl Fn(Outcome) -> bool + Sync),
    ) -> Result<Next, Trouble> {
        let (ledger, revision) = match self.books.read(&errand.owner).await {
            Ok(read) => read,
            Err(BooksFault::Changed) => return Ok(Next::Again),
            Err(BooksFault::Failed(fault)) => return Err(fault.into()),
        };
        *known = Some((ledger.clone(), revision.clone()));
        let decided = |source: &Source| {
            let facts = Facts { ledger: &ledger, source, rejected: errand.rejected.as_deref(), not_before: None };
            decide(facts, (self.now)())
        };
        if matches!(decided(&errand.source), Decision::Wait(_) | Decision::ReauthRequired(_)) {
            return Ok(Next::Done);
        }
        // What is remembered of the refresh token may be older than what was stored last.
        let refresh = match &errand.refresh {
            None => None,
            Some(key) => Some(self.safe.read(key).await?),
        };
        let refresh_id = refresh.as_ref().map(|refresh| refresh.version_id.clone());
        let source = Source { refresh: refresh_id, ..errand.source.clone() };
        match decided(&source) {
            Decision::Wait(_) | Decision::ReauthRequired(_) => Ok(Next::Done),
            Decision::Recover(claim) => self.recover(errand, ledger, &revision, &claim).await,
            Decision::Renew { early } => {
                let request = exchange::request(&errand.grant, &errand.client, refresh.as_ref())?;
                let (id, asked_at) = ((self.id)(), (self.now)());
                let claim = Claim { id: id.clone(), until: asked_at + CLAIM, source };
                let ledger = Ledger { claim: Some(claim), ..ledger };
                let revision = match self.books.write(&errand.owner, &ledger, &revision).await {
                    Ok(revision) => revision,
                    Err(BooksFault::Changed) => return Ok(Next::Again),
                    Err(BooksFault::Failed(fault)) => return Err(fault.into()),
                };
                let seat = seat.take();
                let claimed = Claimed { ledger, revision, id, asked_at, refresh, early, seat, lost: false };
                self.renew(errand, claimed, &request, known, tell).await
            }
        }
    }

    /// Asks for a token that was claimed, and writes down what came of it.
    async fn renew(
        &self,
        errand: &Errand,
        mut claimed: Claimed,
        request: &TokenRequest,
        known: &mut Option<(Ledger, Revision)>,
        tell: &(impl Fn(Outcome) -> bool + Sync),
    ) -> Result<Next, Trouble> {
        let (answered, outcome) = match self.grantor.fetch(&errand.system, request, &claimed.id).await {
            Ok(granted) => (self.take(errand, &mut claimed, &granted, tell).await, Ok(Next::Done)),
            Err(failure) => (true, refused(errand, &mut claimed.ledger, failure)),
        };
        if answered && !claimed.lost {
            claimed.ledger.claim = None;
            self.settle(errand, &mut claimed).await;
        }
        *known = Some((claimed.ledger, claimed.revision));
        outcome
    }

    /// Takes over what was granted. A new refresh token is stored before anything else. Says whether the claim is answered by it.
    async fn take(
        &self,
        errand: &Errand,
        claimed: &mut Claimed,
        granted: &Granted,
        tell: &(impl Fn(Outcome) -> bool + Sync),
    ) -> bool {
        let refresh_id = claimed.refresh.as_ref().map(|refresh| refresh.version_id.clone());
        let source = Source { refresh: refresh_id, ..errand.source.clone() };
        let mut token = exchange::token(&claimed.id, granted, &errand.grant, &errand.client, source, claimed.asked_at);
        let before = claimed.ledger.current.take();
        token.early = before.as_ref().filter(|_| claimed.early).map_or(0, |before| before.early.saturating_add(1));
        claimed.ledger.previous = before;
        claimed.ledger.current = Some(token);
        claimed.ledger.spent = None;
        let (Some(old), Some(key)) = (claimed.refresh.clone(), &errand.refresh) else { return true };
        let new = grants::replaced(&claimed.id, granted, &old);
        claimed.ledger.rotates = Some(new.is_some() || claimed.ledger.rotates == Some(true));
        let Some(new) = new else { return true };
        let kept = self.keep(errand, claimed, key, &new, &old.version_id, tell).await;
        if let Some(token) = claimed.ledger.current.as_mut().filter(|_| kept && !claimed.lost) {
            token.source.refresh = Some(new.version_id.clone());
        }
        kept
    }

    /// Stores a new refresh token, as often as it takes. While that cannot be done the access token is handed out all the same, and the claim made
    /// again. Says whether it is stored. It is given up only where the Connector is gone, or the claim: whoever has it, or comes next, finds out that
    /// the refresh token of before is used up, and says so.
    async fn keep(
        &self,
        errand: &Errand,
        claimed: &mut Claimed,
        key: &SecretKey,
        new: &CredentialVersion,
        replacing: &str,
        tell: &(impl Fn(Outcome) -> bool + Sync),
    ) -> bool {
        let mut wait = FIRST_WAIT;
        loop {
            let stored = match self.safe.store(key, new).await {
                Ok(()) => self.safe.promote(key, &new.version_id, replacing).await,
                Err(fault) => Err(fault),
            };
            let Err(fault) = stored else { return true };
            tracing::warn!(secret = %key, "{fault}");
            if let Some(claim) = &mut claimed.ledger.claim {
                claim.until = (self.now)() + CLAIM;
            }
            self.write(errand, claimed).await;
            let kept = Some((claimed.ledger.clone(), claimed.revision.clone()));
            let why = if claimed.lost {
                "somebody else took over"
            } else if !tell(Outcome { kept, trouble: Some(fault.into()) }) {
                "the Connector is gone"
            } else if !self.pause(errand, claimed, &mut wait).await {
                "the operator stops"
            } else {
                continue;
            };
            tracing::error!(secret = %key, "the new refresh token could not be stored, and {why}");
            return false;
        }
    }

    /// Finds out what became of a claim that nobody answered.
    async fn recover(
        &self,
        errand: &Errand,
        mut ledger: Ledger,
        revision: &Revision,
        claim: &Claim,
    ) -> Result<Next, Trouble> {
        let (Some(key), Some(replacing)) = (&errand.refresh, &claim.source.refresh) else { return Ok(Next::Done) };
        match self.safe.promote(key, &claim.id, replacing).await? {
            Promoted::Current | Promoted::Superseded => return Ok(Next::Again),
            Promoted::Unknown => {}
        }
        let message = format!(
            "a renewal was cut short before a new refresh token was stored, and version {replacing} of {key} may be used up: authorise the \
             client again and store the new refresh token there"
        );
        ledger.claim = None;
        ledger.spent = Some(Spent { refresh: replacing.clone(), message, refused: None });
        match self.books.write(&errand.owner, &ledger, revision).await {
            Ok(_) | Err(BooksFault::Changed) => Ok(Next::Again),
            Err(BooksFault::Failed(fault)) => Err(fault.into()),
        }
    }

    /// Writes what came of a renewal, as often as it takes.
    async fn settle(&self, errand: &Errand, claimed: &mut Claimed) {
        let mut wait = FIRST_WAIT;
        while !self.write(errand, claimed).await {
            if !self.pause(errand, claimed, &mut wait).await {
                return;
            }
        }
    }

    /// Writes the ledger, unless the claim in it is lost: then what is there is taken over. Says whether that is done.
    async fn write(&self, errand: &Errand, claimed: &mut Claimed) -> bool {
        for _ in 0..ATTEMPTS {
            if claimed.lost {
                return true;
            }
            match self.books.write(&errand.owner, &claimed.ledger, &claimed.revision).await {
                Ok(revision) => {
                    claimed.revision = revision;
                    return true;
                }
                Err(BooksFault::Failed(fault)) => {
                    tracing::warn!(connector = errand.owner.name, "{fault}");
                    return false;
                }
                Err(BooksFault::Changed) => {}
            }
            let Ok((found, revision)) = self.books.read(&errand.owner).await else { return false };
            claimed.lost = found.claim.as_ref().is_none_or(|claim| claim.id != claimed.id);
            if claimed.lost {
                tracing::warn!(connector = errand.owner.name, "somebody else took over the renewal of the token");
                claimed.ledger = found;
            }
            claimed.revision = revision;
        }
        false
    }

    /// Waits, longer each time, without a seat; not when the operator stops.
    async fn pause(&self, errand: &Errand, claimed: &mut Claimed, wait: &mut Duration) -> bool {
        let now = std::mem::replace(wait, wait.saturating_mul(2).min(LONGEST_WAIT));
        claimed.seat = None;
        tokio::select! {
            () = tokio::time::sleep(now) => {}
            () = self.stop.cancelled() => return false,
        }
        claimed.seat = Some(self.seats.take(&errand.owner.namespace).await);
        true
    }
}

/// What a failed request leaves. Only a refresh token that the server calls invalid is given up; everything else is tried again.
fn refused(errand: &Errand, ledger: &mut Ledger, failed: GrantFailure) -> Result<Next, Trouble> {
    let GrantFailure { failure: CallFailure { kind, detail, retry_after, .. }, remains } = failed;
    let asked_with = ledger.claim.as_ref().map(|claim| claim.source.clone());
    let refresh = asked_with.as_ref().and_then(|source| source.refresh.clone());
    if let (Remains::Invalid, Some(refresh), Some(key)) = (remains, refresh, &errand.refresh) {
        let message = format!("{detail}, and store the new refresh token in {key}");
        ledger.spent = Some(Spent { refresh, message, refused: asked_with });
        return Ok(Next::Done);
    }
    let reason =
        if kind == FailureKind::CredentialsRejected { Reason::ReauthRequired } else { Reason::TokenUnavailable };
    Err(Trouble { fault: VaultFault::new(reason, detail), wait: retry_after })
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "renewal_world.rs"]
pub(super) mod world;
