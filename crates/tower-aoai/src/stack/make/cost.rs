use super::{context_window::header, problem, said};
use crate::{
    config::{BudgetConfig, Config, PriceConfig, Problems, UnknownPriceConfig},
    cost::{Budget, CostLayer, CostLog, Money, Prices, Rates, UnknownPrice},
};

/// The most output of an answer, where a price does not say it.
const MAX_OUTPUT: u64 = 272_000;

/// The list of prices, with what is said of endpoints.
pub(in crate::stack) fn prices(config: &Config) -> Result<Prices, Problems> {
    let section = &config.prices;
    let mut prices = match &section.file {
        None => Prices::built_in(),
        Some(path) => Prices::built_in().with_file(path).map_err(|error| problem("prices.file", error.to_string()))?,
    };
    for (model, price) in &section.models {
        if let Some(rates) = rates(price) {
            prices = prices.insert(model, rates, price.max_output.unwrap_or(MAX_OUTPUT));
        }
    }
    for endpoint in &config.endpoints {
        if let Some(model) = endpoint.priced_as() {
            let kind = endpoint.kind().billing();
            prices = match &endpoint.deployment {
                Some(deployment) => prices.endpoint(&endpoint.name, deployment, model, kind),
                None => prices.deployment(&endpoint.name, model, kind),
            };
        }
    }
    Ok(prices)
}

/// The books, with all that holds as long as they do.
pub(in crate::stack) fn books(config: &Config) -> Result<CostLayer, Problems> {
    let section = &config.cost;
    if section.enabled == Some(false) {
        return Ok(CostLayer::off());
    }
    let layer = CostLayer::new();
    let layer = match (section.values, section.rows) {
        (None, None) => layer,
        (values, rows) => layer.bounds(values.unwrap_or(1_000), rows.unwrap_or(100_000)),
    };
    let layer = match (section.keep_hours, section.keep_days, section.keep_months) {
        (None, None, None) => layer,
        (hours, days, months) => layer.keep(hours.unwrap_or(48), days.unwrap_or(62), months.unwrap_or(24)),
    };
    let layer = config.budgets.iter().filter_map(budget).fold(layer, CostLayer::budget);
    match &section.log {
        None => Ok(layer),
        Some(path) => {
            let log = CostLog::open(path).and_then(|log| layer.log(log));
            log.map_err(|error| problem("cost.log", format!("{path:?} cannot be the log: {error}")))
        }
    }
}

/// How calls are assessed from now on, by the same books.
pub(in crate::stack) fn assessing(books: CostLayer, config: &Config, prices: Prices) -> Result<CostLayer, Problems> {
    let section = &config.cost;
    let layer = books.prices(prices);
    let layer = said(layer, section.unknown_price.as_ref(), |layer, unknown| {
        layer.unknown_price(match unknown {
            UnknownPriceConfig::Warn => UnknownPrice::Warn,
            UnknownPriceConfig::Refuse => UnknownPrice::Refuse,
            UnknownPriceConfig::Assume(price) => rates(price).map_or(UnknownPrice::Warn, UnknownPrice::Assume),
        })
    });
    let mut kinds = config.endpoints.iter().map(crate::config::EndpointConfig::kind);
    let only = kinds.next().filter(|first| kinds.all(|kind| kind == *first));
    let mut layer = said(layer, only, |layer, kind| layer.deployment_type(kind.billing()));
    layer = said(layer, section.service_tier, CostLayer::service_tier);
    for (tag, name) in &section.tag_headers {
        layer = layer.tag_header(*tag, header(&format!("cost.tag_headers.{}", tag.name()), name)?);
    }
    Ok(layer)
}

fn rates(price: &PriceConfig) -> Option<Rates> {
    let rates = Rates::per_million(price.input?, price.output?);
    let rates = said(rates, price.cached, Rates::cached);
    Some(said(rates, price.cache_write, Rates::cache_write))
}

fn budget(config: &BudgetConfig) -> Option<Budget> {
    let limit: Money = config.dollars?;
    let budget = Budget::new(config.name.as_str(), limit, config.period?);
    let budget = config.tags.iter().fold(budget, |budget, (tag, value)| budget.tag(*tag, value.as_str()));
    let budget = said(budget, config.each, Budget::each);
    let budget = said(budget, config.alert_at.as_ref(), |budget, percents| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let thousandths = percents.iter().map(|percent| (percent * 10.0).round() as u32);
        budget.alert_at(thousandths)
    });
    Some(if config.enforce == Some(true) { budget.enforce() } else { budget })
}
