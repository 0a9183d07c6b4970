//! The table as it is written.

use std::{collections::HashMap, error::Error, fmt, io, ops::Range, path::Path};

use serde::Deserialize;
use toml::Spanned;

use super::{
    DeploymentType, Prices, Rates,
    model::{Factors, Long, ModelPrice},
};
use crate::Money;

/// What is wrong with a table of prices: where it is, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricesError {
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    as_of: Option<String>,
    factors: Option<WrittenFactors>,
    #[serde(default)]
    price: Vec<Entry>,
    #[serde(default)]
    deployment: Vec<Deployment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFactors {
    data_zone: Option<Spanned<f64>>,
    regional: Option<Spanned<f64>>,
    batch: Option<Spanned<f64>>,
    flex: Option<Spanned<f64>>,
    priority: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    model: Spanned<String>,
    deployment: Option<Spanned<DeploymentType>>,
    like: Option<Spanned<String>>,
    input: Option<Spanned<f64>>,
    cached: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    output: Option<Spanned<f64>>,
    batch: Option<WrittenRates>,
    flex: Option<WrittenRates>,
    priority: Option<WrittenRates>,
    long: Option<WrittenLong>,
    data_zone: Option<Spanned<f64>>,
    regional: Option<Spanned<f64>>,
    max_output: Option<u64>,
    reasons: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRates {
    input: Spanned<f64>,
    cached: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    output: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLong {
    above: u64,
    input: Spanned<f64>,
    cached: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    output: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    name: String,
    model: String,
    #[serde(default)]
    r#type: DeploymentType,
}

/// The most output of a model of which the table does not say it: more than any is known to make.
const MAX_OUTPUT: u64 = 272_000;

pub(super) fn read(text: &str, prices: &mut Prices) -> Result<(), PricesError> {
    let table: Table = toml::from_str(text).map_err(|error| PricesError::at(text, error.span(), error.message()))?;
    let source = Source(text);
    if let Some(factors) = &table.factors {
        prices.factors = source.factors(factors, prices.factors)?;
    }
    let mut read = HashMap::new();
    for entry in table.price {
        let price = source.price(&entry, &read, prices)?;
        let key = (entry.model.get_ref().to_lowercase(), entry.kind());
        if read.insert(key, price).is_some() {
            let what = format!("`model`: {:?} stands there twice: one entry for each", entry.model.get_ref());
            return Err(PricesError::at(text, Some(entry.model.span()), &what));
        }
    }
    for ((name, kind), price) in read {
        match kind {
            None => prices.models.insert(name, price),
            Some(kind) => prices.special.entry(name).or_default().insert(kind, price),
        };
    }
    for Deployment { name, model, r#type } in table.deployment {
        let known = std::mem::replace(prices, Prices::empty());
        *prices = known.deployment(&name, &model, r#type);
    }
    if let Some(as_of) = table.as_of {
        prices.as_of = as_of;
    }
    Ok(())
}

impl Entry {
    /// `None` for the global price, which is every deployment type's that has none of its own.
    fn kind(&self) -> Option<DeploymentType> {
        self.deployment.as_ref().map(|kind| *kind.get_ref()).filter(|kind| *kind != DeploymentType::Global)
    }
}

/// What was read, to say where it is wrong.
struct Source<'a>(&'a str);

impl Source<'_> {
    fn price(
        &self,
        entry: &Entry,
        read: &HashMap<(String, Option<DeploymentType>), ModelPrice>,
        prices: &Prices,
    ) -> Result<ModelPrice, PricesError> {
        if let Some(kind) = entry.deployment.as_ref().filter(|kind| kind.get_ref().is_provisioned()) {
            let what =
                "`deployment`: provisioned throughput is not paid for by the token: name it under [[deployment]]";
            return Err(self.wrong(kind.span(), what));
        }
        let like = match &entry.like {
            None => None,
            Some(like) => {
                let above = read.get(&(like.get_ref().to_lowercase(), None));
                let known = above.or_else(|| prices.model(like.get_ref())).cloned();
                Some(known.ok_or_else(|| {
                    let what =
                        format!("`like`: {:?} has no price: name an entry above, or a built-in one", like.get_ref());
                    self.wrong(like.span(), &what)
                })?)
            }
        };
        let missing = |key: &str| {
            let what = format!(
                "{:?} has no `{key}`: say the dollars for a million tokens, or `like` which model it is",
                entry.model.get_ref()
            );
            self.wrong(entry.model.span(), &what)
        };
        let rate = |key: &str, written: &Option<Spanned<f64>>, known: Option<Money>| match written {
            Some(written) => self.money(key, written),
            None => known.ok_or_else(|| missing(key)),
        };
        let known = like.as_ref().map(|like| like.plain);
        let input = rate("input", &entry.input, known.map(|known| known.input))?;
        let output = rate("output", &entry.output, known.map(|known| known.output))?;
        // What is cached follows the price that it is a part of, unless it is said.
        let follows = |of: fn(&Rates) -> Money| known.as_ref().filter(|_| entry.input.is_none()).map_or(input, of);
        let plain = Rates {
            input,
            cached: rate("cached", &entry.cached, Some(follows(|known| known.cached)))?,
            cache_write: rate("cache_write", &entry.cache_write, Some(follows(|known| known.cache_write)))?,
            output,
        };
        let mut price = like.unwrap_or_else(|| ModelPrice::new(plain, MAX_OUTPUT));
        if entry.input.is_some() || entry.output.is_some() {
            // The other model's would be out of proportion.
            price = ModelPrice { reasons: price.reasons, ..ModelPrice::new(plain, price.max_output) };
        }
        price.plain = plain;
        let given = |written: &Option<WrittenRates>, known: Option<Rates>| match written {
            Some(written) => self.rates(written, &plain).map(Some),
            None => Ok(known),
        };
        price.batch = given(&entry.batch, price.batch)?;
        price.flex = given(&entry.flex, price.flex)?;
        price.priority = given(&entry.priority, price.priority)?;
        if let Some(WrittenLong { above, input, cached, cache_write, output }) = &entry.long {
            let written = WrittenRates {
                input: input.clone(),
                cached: cached.clone(),
                cache_write: cache_write.clone(),
                output: output.clone(),
            };
            price.long = Some(Long { above: *above, rates: self.rates(&written, &plain)? });
        }
        let factor = |key: &str, written: &Option<Spanned<f64>>, known: Option<u32>| match written {
            Some(written) => self.factor(key, written).map(Some),
            None => Ok(known),
        };
        price.data_zone = factor("data_zone", &entry.data_zone, price.data_zone)?;
        price.regional = factor("regional", &entry.regional, price.regional)?;
        price.max_output = entry.max_output.unwrap_or(price.max_output);
        price.reasons = entry.reasons.unwrap_or(price.reasons);
        Ok(price)
    }

    fn rates(&self, written: &WrittenRates, plain: &Rates) -> Result<Rates, PricesError> {
        let (input, output) = (self.money("input", &written.input)?, self.money("output", &written.output)?);
        let mut rates = Rates::like(plain, input, output);
        if let Some(cached) = &written.cached {
            rates.cached = self.money("cached", cached)?;
        }
        if let Some(cache_write) = &written.cache_write {
            rates.cache_write = self.money("cache_write", cache_write)?;
        }
        Ok(rates)
    }

    fn money(&self, key: &str, dollars: &Spanned<f64>) -> Result<Money, PricesError> {
        let nano_dollars = *dollars.get_ref() * 1e9;
        if (0.0..=1e15).contains(&nano_dollars) {
            return Ok(Money::nano_dollars(nano_dollars.round() as u64));
        }
        let what = format!("`{key}` is {}: the dollars for a million tokens, from 0 to a million", dollars.get_ref());
        Err(self.wrong(dollars.span(), &what))
    }

    fn factor(&self, key: &str, factor: &Spanned<f64>) -> Result<u32, PricesError> {
        let thousandths = *factor.get_ref() * 1e3;
        if (1.0..=1e6).contains(&thousandths) {
            return Ok(thousandths.round() as u32);
        }
        let what = format!("`{key}` is {}: how many times the price, from 0.001 to 1000", factor.get_ref());
        Err(self.wrong(factor.span(), &what))
    }

    fn factors(&self, written: &WrittenFactors, known: Factors) -> Result<Factors, PricesError> {
        let factor = |key: &str, written: &Option<Spanned<f64>>, known: u32| {
            written.as_ref().map_or(Ok(known), |written| self.factor(key, written))
        };
        Ok(Factors {
            data_zone: factor("data_zone", &written.data_zone, known.data_zone)?,
            regional: factor("regional", &written.regional, known.regional)?,
            batch: factor("batch", &written.batch, known.batch)?,
            flex: factor("flex", &written.flex, known.flex)?,
            priority: factor("priority", &written.priority, known.priority)?,
        })
    }

    fn wrong(&self, place: Range<usize>, what: &str) -> PricesError {
        PricesError::at(self.0, Some(place), what)
    }
}

impl PricesError {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self { message: format!("the table of prices {} cannot be read: {error}", path.display()) }
    }

    fn at(text: &str, span: Option<Range<usize>>, what: &str) -> Self {
        let line = span.and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Self { message: format!("the table of prices{place}: {what}") }
    }
}

impl fmt::Display for PricesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PricesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_it_is_and_what_would_be_right() {
        for (text, said) in [
            (
                "[[price]]\nmodel = 'x'\ninput = 1.0",
                "line 2: \"x\" has no `output`: say the dollars for a million tokens",
            ),
            ("[[price]]\nmodel = 'x'\nlike = 'y'", "line 3: `like`: \"y\" has no price: name an entry above"),
            (
                "[[price]]\nmodel = 'x'\ninput = -1.0\noutput = 1.0",
                "line 3: `input` is -1: the dollars for a million tokens",
            ),
            ("[[price]]\nmodel = 'x'\ninput = nan\noutput = 1.0", "line 3: `input` is NaN: the dollars"),
            ("[[price]]\nmodel = 'x'\ninput = '2.5'", "line 3: invalid type: string \"2.5\", expected f64"),
            ("[[price]]\nmodel = 'x'\ninputs = 1.0", "line 3: unknown field `inputs`, expected one of `model`"),
            (
                "[[price]]\nmodel = 'x'\ninput = 1.0\noutput = 1.0\n[[price]]\nmodel = 'X'\ninput = 1.0\noutput = 1.0",
                "line 6: `model`: \"X\" stands there twice",
            ),
            ("[factors]\nflex = 0", "line 2: `flex` is 0: how many times the price, from 0.001"),
            (
                "[[price]]\nmodel = 'x'\ndeployment = 'provisioned'\ninput = 1.0\noutput = 1.0",
                "line 3: `deployment`: provisioned throughput is not paid for by the token",
            ),
            (
                "[[deployment]]\nname = 'x'\nmodel = 'y'\ntype = 'ptu'",
                "line 4: unknown variant `ptu`, expected one of `global`",
            ),
            ("[[price", "line 1: "),
        ] {
            let error = Prices::empty().with_toml(text).unwrap_err().to_string();
            assert!(error.starts_with("the table of prices, ") && error.contains(said), "{error}\n{said}");
        }
        let error = Prices::empty().with_file("/nowhere/prices.toml").unwrap_err().to_string();
        assert!(error.starts_with("the table of prices /nowhere/prices.toml cannot be read: "), "{error}");
    }
}
