//! The order of the layers, in one place. A request passes them from top to bottom, its answer from bottom to top.

use std::sync::Arc;

use crosstie_engine::plan::System;
use tower::{ServiceBuilder, layer::layer_fn, util::BoxCloneSyncService};

use crate::{
    auth::{Auth, Scheme},
    call::{Call, Reply, Setback},
    classify::{Classifier, Classify},
    clock::VendorClock,
    credentials::CredentialStore,
    egress::Rules,
    failure::BuildError,
    guard::Guard,
    lifecycle::{Headers, Heard},
    observe::{Observe, Watch},
    surroundings::Surroundings,
    throttle::{Pace, Throttle},
    transport::Transport,
};

/// All layers over the transport.
pub type Stack = BoxCloneSyncService<Call, Reply, Setback>;

/// What the layers share with the client above them.
pub struct Shared {
    pub rules: Arc<Rules>,
    pub pace: Arc<Pace>,
    pub vendor_clock: Arc<VendorClock>,
    pub heard: Arc<Heard>,
    pub credentials: CredentialStore,
}

/// Puts the layers of a system together.
pub fn stack(system: &System, shared: &Shared, surroundings: &Surroundings) -> Result<Stack, BuildError> {
    let connector = system.connector.clone();
    let scheme = Scheme::new(&connector, &system.authentication)
        .map_err(|header| BuildError::HeaderName { connector: connector.clone(), header })?;
    let scheme = Arc::new(scheme);
    let transport = Transport::new(&shared.rules, surroundings)
        .map_err(|source| BuildError::Client { connector: connector.clone(), source })?;
    let classifier = Arc::new(Classifier {
        host: shared.rules.host().to_owned(),
        rejections: system.credential_rejection_statuses.clone(),
        request_id_header: system.request_id_header.clone(),
        clock: Arc::clone(&surroundings.clock),
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
    let (rules, pace, credentials) = (Arc::clone(&shared.rules), Arc::clone(&shared.pace), shared.credentials.clone());
    Ok(BoxCloneSyncService::new(
        ServiceBuilder::new()
            // First of all, so that credentials are never put on a request that may not go where it would.
            .layer(layer_fn(move |inner| Guard::new(inner, Arc::clone(&rules))))
            // Above the throttle, so that the second try with other credentials counts against the share like any request.
            .layer(layer_fn(move |inner| Auth::new(inner, Arc::clone(&scheme), credentials.clone())))
            .layer(layer_fn(move |inner| Throttle::new(inner, Arc::clone(&pace))))
            // Below the throttle and the authentication, which both act on what an answer means.
            .layer(layer_fn(move |inner| Classify::new(inner, Arc::clone(&classifier))))
            // Last, so that it sees what really goes out and comes back.
            .layer(layer_fn(move |inner| Observe::new(inner, Arc::clone(&watch))))
            .service(transport),
    ))
}
