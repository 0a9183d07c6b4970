use std::time::Duration;

use super::{Secret, setting::section};

section! {
    /// What is counted and told of.
    pub struct StatisticsConfig {
        /// Whether calls are counted at all. Default true.
        pub enabled: Option<bool>,
        /// The share of calls whose prompt was cut above which an alert is given. Default 0.2.
        pub truncated_share: Option<f64>,
        /// The wait for quota above which an alert is given. Default 10 s.
        pub queue_wait: Option<Duration>,
        /// Where alerts are posted, as JSON. Such addresses often hold a key, so it is a secret. Default nowhere.
        pub webhook: Option<Secret>,
    }
}
