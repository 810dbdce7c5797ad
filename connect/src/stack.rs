//! The order of the layers, in one place. A request passes them from top to bottom, its answer from bottom to top.

use std::sync::Arc;

use crosstie_engine::plan::System;
use tower::{ServiceBuilder, layer::layer_fn, util::BoxCloneSyncService};

use crate::{
    account::{Account, Accountant},
    auth::{Auth, Authenticator},
    cache::{Caching, Kept},
    call::{Call, Reply, Setback},
    classify::{Classifier, Classify},
    clock::VendorClock,
    credentials::CredentialStore,
    egress::Rules,
    failure::BuildError,
    follow::{Follow, Followed},
    guard::Guard,
    hear::Hear,
    lifecycle::{Headers, Heard},
    observe::{Observe, Watch},
    pace::Paces,
    surroundings::Surroundings,
    throttle::Throttle,
    transport::Transport,
};

/// All layers over the transport.
pub type Stack = BoxCloneSyncService<Call, Reply, Setback>;

/// What the layers share with the client above them.
pub struct Shared {
    pub rules: Arc<Rules>,
    pub paces: Arc<Paces>,
    pub vendor_clock: Arc<VendorClock>,
    pub heard: Arc<Heard>,
    pub credentials: CredentialStore,
}

/// Puts the layers of a system together.
pub fn stack(system: &System, shared: &Shared, surroundings: &Surroundings) -> Result<Stack, BuildError> {
    let connector = system.connector.clone();
    let own = Authenticator::new(system, Arc::clone(&surroundings.clock))
        .map_err(|header| BuildError::HeaderName { connector: connector.clone(), header })?;
    let own = Arc::new(own);
    let transport = Transport::new(&shared.rules, surroundings)
        .map_err(|source| BuildError::Client { connector: connector.clone(), source })?;
    let classifier = Arc::new(Classifier {
        host: shared.rules.host().to_owned(),
        rules: system.errors.clone(),
        request_id_header: system.request_id_header.clone(),
        clock: Arc::clone(&surroundings.clock),
    });
    let accountant = Arc::new(Accountant {
        connector: connector.clone(),
        request_id_header: system.request_id_header.clone(),
        observer: Arc::clone(&surroundings.observer),
    });
    let watch = Arc::new(Watch {
        connector,
        request_id_header: system.request_id_header.clone(),
        lifecycle_headers: Headers {
            served_version: system.served_version_header.clone(),
            deprecated_reason: system.deprecated_reason_header.clone(),
        },
        heard: Arc::clone(&shared.heard),
        vendor_clock: Arc::clone(&shared.vendor_clock),
        observer: Arc::clone(&surroundings.observer),
    });
    let (paces, clock) = (Arc::clone(&shared.paces), Arc::clone(&surroundings.clock));
    let followed = Arc::new(Followed::new(system.rate.clone(), paces, clock));
    let cache = system.cache.as_ref();
    let kept = cache.map(|cache| {
        let (credentials, observer) = (shared.credentials.clone(), Arc::clone(&surroundings.observer));
        Arc::new(Kept::new(cache, system.base_url.path(), credentials, observer))
    });
    let (rules, paces, credentials) =
        (Arc::clone(&shared.rules), Arc::clone(&shared.paces), shared.credentials.clone());
    let heard = Arc::clone(&shared.heard);
    Ok(BoxCloneSyncService::new(
        ServiceBuilder::new()
            // First of all, so that credentials are never put on a request that may not go where it would.
            .layer(layer_fn(move |inner| Guard::new(inner, Arc::clone(&rules))))
            // What is kept costs neither credentials nor allowance.
            .layer(layer_fn(move |inner| Caching::new(inner, kept.clone())))
            // Above the throttle, so that the second try with other credentials counts against the share like any request.
            .layer(layer_fn(move |inner| Auth::new(inner, Arc::clone(&own), credentials.clone())))
            .layer(layer_fn(move |inner| Throttle::new(inner, Arc::clone(&paces))))
            // Below the throttle, so that it sees each request that goes out, and above what says what its answer means.
            .layer(layer_fn(move |inner| Account::new(inner, Arc::clone(&accountant))))
            // Below the throttle and the authentication, which both act on what an answer means.
            .layer(layer_fn(move |inner| Hear::new(inner, Arc::clone(&heard))))
            .layer(layer_fn(move |inner| Classify::new(inner, Arc::clone(&classifier))))
            // Below classification, because what is left is said in every answer, whatever it means.
            .layer(layer_fn(move |inner| Follow::new(inner, Arc::clone(&followed))))
            // Last, so that it sees what really goes out and comes back.
            .layer(layer_fn(move |inner| Observe::new(inner, Arc::clone(&watch))))
            .service(transport),
    ))
}
