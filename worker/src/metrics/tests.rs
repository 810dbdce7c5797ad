use super::*;

#[test]
fn what_was_counted_is_shown() {
    let metrics = Metrics::default();
    metrics.polled("orders");
    metrics.handled("orders", Outcome::Delivered);
    metrics.cached("menus", CacheUse::Hit);
    metrics.set_figures("orders", &Figures { queue_depth: 7, ..Figures::default() });
    metrics.set_credentials([("shop", "v1")].into_iter());
    metrics.set_credentials([("shop", "v2")].into_iter());
    let text = metrics.encode();
    for line in [
        r#"crosstie_worker_polls_total{flow="orders"} 1"#,
        r#"crosstie_worker_records_handled_total{flow="orders",outcome="delivered"} 1"#,
        r#"crosstie_worker_cache_total{stream="menus",outcome="hit"} 1"#,
        r#"crosstie_worker_queue_depth{flow="orders"} 7"#,
        r#"crosstie_worker_credential_version{connector="shop",version="v2"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("v1"), "a version that is no longer in use is no longer shown");
}
