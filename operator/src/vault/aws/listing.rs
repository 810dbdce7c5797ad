//! Lists of an account's secrets: what `DescribeSecret` says of one, for a hundred at a time and without a value. They name secrets that nobody asked
//! about, too: nothing of those is kept or logged.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::{
    error::ProvideErrorMetadata,
    types::{Filter, FilterNameStringType, SecretListEntry},
};

use super::{SecretsManager, described, faults::is_refusal};
use crate::vault::{Description, LISTED_AT_ONCE, ListEnd, Listing, SecretKey};

/// Names an account's secrets and says of each what is known beside its value.
const LIST: &str = "ListSecrets";
/// How many beginnings of names one call may ask for, as AWS documents.
const MOST_PREFIXES: usize = 10;
/// How long a list may take.
const LONGEST: Duration = Duration::from_mins(1);

impl SecretsManager {
    pub(super) async fn list_wanted(&self, wanted: &[SecretKey], most_calls: usize) -> Listing {
        let mut listing = Listing::default();
        let Some(first) = wanted.first() else { return listing };
        if self.is_refused(&first.account, LIST) {
            return listing;
        }
        let Ok(client) = self.clients.get(first).await else { return listing };
        let by_id: HashMap<&str, &SecretKey> = wanted.iter().map(|key| (key.secret_id.as_str(), key)).collect();
        let filters = prefixes(wanted).map(by_name);
        let (begun, mut token) = (Instant::now(), None);
        while listing.calls < most_calls {
            if begun.elapsed() > LONGEST {
                return listing;
            }
            let request = client.list_secrets().max_results(i32::try_from(LISTED_AT_ONCE).unwrap_or(i32::MAX));
            let request = request.set_filters(filters.clone().map(|filter| vec![filter])).set_next_token(token);
            let outcome = request.send().await;
            self.metrics.aws_call(LIST, outcome.is_ok());
            listing.calls += 1;
            let page = match outcome {
                Ok(page) => page,
                Err(error) => {
                    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
                    if code.is_some_and(is_refusal) {
                        self.note_refusal(&first.account, LIST, "each secret is described by a call of its own");
                    }
                    return listing;
                }
            };
            for entry in page.secret_list() {
                let key = [entry.name(), entry.arn()].into_iter().flatten().find_map(|id| by_id.get(id));
                if let Some(key) = key
                    && let Some(description) = said(entry)
                {
                    listing.descriptions.insert((*key).clone(), description);
                }
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() || listing.descriptions.len() == wanted.len() {
                listing.end = ListEnd::Whole;
                return listing;
            }
        }
        listing.end = ListEnd::Cut;
        listing
    }
}

fn said(entry: &SecretListEntry) -> Option<Description> {
    described(entry.secret_versions_to_stages()?, entry.rotation_enabled(), entry.next_rotation_date())
}

/// How the names of all of them begin, up to the first slash, which by default stands behind a namespace. None where that is too many, or is no way
/// to find them: then everything is listed.
fn prefixes(wanted: &[SecretKey]) -> Option<Vec<String>> {
    let prefix = |key: &SecretKey| {
        let name = key.secret_id.as_str();
        let may_be_asked = |character: char| character.is_ascii_alphanumeric() || "/_+=.@-".contains(character);
        // An ARN begins alike for all of them, and is no name.
        let end = name.find('/').map_or(name.len(), |slash| slash + 1);
        name[..end].chars().all(may_be_asked).then(|| name[..end].to_owned())
    };
    let prefixes: BTreeSet<String> = wanted.iter().map(prefix).collect::<Option<_>>()?;
    (prefixes.len() <= MOST_PREFIXES).then(|| prefixes.into_iter().collect())
}

fn by_name(prefixes: Vec<String>) -> Filter {
    Filter::builder().key(FilterNameStringType::Name).set_values(Some(prefixes)).build()
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
