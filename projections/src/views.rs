//! All read models: their names and versions, their schemas, and how they are run.
//!
//! A view lives in a schema of its own, `<view>_v<version>`, which is also the name of its subscription. A pointer row
//! says which schema queries go to. Whoever changes a table or what is written to it raises the version: the new
//! schema is then built beside the old one. Used by the server (migrate, spawn), the command line (parked keys) and
//! the queries.

use std::{fmt, str::FromStr, sync::Arc};

use domain::{cart, category, discount, inventory, order, payment, product, region, shop};
use eventstore::{
    EventLog,
    subscription::{self, HandleError, Subscriptions},
};
use sqlx::{Connection, PgConnection, PgPool};

use crate::{
    carts::CartsProjector, categories::CategoryView, discounts::DiscountView,
    one_row_each::RowProjector, orders::OrdersProjector, payments::PaymentsProjector,
    products::ProductsProjector, regions::RegionView, shops::ShopView, timeline::TimelineProjector,
};

/// A read model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Markets.
    Regions,
    /// What products are grouped by.
    Categories,
    /// Sellers' shops.
    Shops,
    /// The catalogue with stock.
    Products,
    /// What is taken off prices.
    Discounts,
    /// What customers mean to buy.
    Carts,
    /// Orders with their lines.
    Orders,
    /// Payments with what the gateway said.
    Payments,
    /// The story of each order.
    Timeline,
}

/// The advisory lock of [`migrate_views`] ('view' in ASCII).
const MIGRATION_LOCK: i64 = 0x7669_6577;

impl View {
    /// Every read model.
    pub const ALL: [Self; 9] = [
        Self::Regions,
        Self::Categories,
        Self::Shops,
        Self::Products,
        Self::Discounts,
        Self::Carts,
        Self::Orders,
        Self::Payments,
        Self::Timeline,
    ];

    /// The name, without a version.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Categories => "categories",
            Self::Shops => "shops",
            Self::Products => "products",
            Self::Discounts => "discounts",
            Self::Carts => "carts",
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Timeline => "timeline",
        }
    }

    /// Version of the tables and of what is written to them.
    const fn version(self) -> u32 {
        match self {
            Self::Products => 4,
            Self::Orders => 3,
            Self::Regions | Self::Categories => 2,
            Self::Shops | Self::Discounts | Self::Carts | Self::Payments | Self::Timeline => 1,
        }
    }

    /// The tables, with `{schema}` where the schema's name goes.
    pub(crate) const fn definition(self) -> &'static str {
        match self {
            Self::Regions => include_str!("../sql/regions.sql"),
            Self::Categories => include_str!("../sql/categories.sql"),
            Self::Shops => include_str!("../sql/shops.sql"),
            Self::Products => include_str!("../sql/products.sql"),
            Self::Discounts => include_str!("../sql/discounts.sql"),
            Self::Carts => include_str!("../sql/carts.sql"),
            Self::Orders => include_str!("../sql/orders.sql"),
            Self::Payments => include_str!("../sql/payments.sql"),
            Self::Timeline => include_str!("../sql/timeline.sql"),
        }
    }

    /// The names of the tables.
    pub(crate) fn tables(self) -> impl Iterator<Item = &'static str> {
        let made = self.definition().split("create table {schema}.").skip(1);
        made.filter_map(|rest| rest.split(' ').next())
    }

    /// The aggregate types whose events it is made of.
    pub(crate) const fn reads(self) -> &'static [&'static str] {
        match self {
            Self::Regions => &[region::TYPE],
            Self::Categories => &[category::TYPE],
            Self::Shops => &[shop::TYPE],
            Self::Products => &[product::TYPE, inventory::TYPE, shop::TYPE],
            Self::Discounts => &[discount::TYPE],
            Self::Carts => &[cart::TYPE],
            Self::Orders => &[order::TYPE],
            Self::Payments => &[payment::TYPE],
            Self::Timeline => &[order::TYPE, payment::TYPE, inventory::TYPE],
        }
    }

    /// A schema of this version beside the live one, to be rebuilt into: `orders_v3_r7`.
    pub fn beside(self, number: u32) -> Schema {
        Schema(format!("{}_r{number}", self.schema()).into())
    }

    /// Whether a schema, rebuilt or not, is of a version before this binary's, whose queries it may not understand.
    pub(crate) fn is_older(self, schema: &str) -> bool {
        let version = || {
            let version = schema.strip_prefix(self.name())?.strip_prefix("_v")?;
            version.split('_').next()?.parse().ok()
        };
        version().is_some_and(|version: u32| version < self.version())
    }

    /// The schema that this binary's projector writes, and the name of its subscription.
    pub fn schema(self) -> Schema {
        Schema(format!("{}_v{}", self.name(), self.version()).into())
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no read model of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no read model {0:?}")]
pub struct UnknownView(String);

impl FromStr for View {
    type Err = UnknownView;

    /// Takes the name of the view and that of its subscription.
    fn from_str(text: &str) -> Result<Self, UnknownView> {
        let named = |view: &Self| view.name() == text || view.schema().as_str() == text;
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| UnknownView(text.to_owned()))
    }
}

/// The name of a schema, safe to be put into SQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema(Arc<str>);

impl Schema {
    /// Longest identifier of PostgreSQL, in bytes.
    const MAX_BYTES: usize = 63;

    /// Takes names of small letters, digits and underscores only.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_BYTES).contains(&name.len());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (fits && name.bytes().all(plain)).then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SQL text for this schema: `{schema}` becomes its name.
    pub(crate) fn sql(&self, text: &str) -> String {
        text.replace("{schema}", self.as_str())
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes the schemas and pointers that are missing; may be called at any time, by several processes at once.
pub async fn migrate_views(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    for view in View::ALL {
        let mut tx = connection.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *tx)
            .await?;
        create_if_missing(view, &mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn create_if_missing(view: View, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let schema = view.schema();
    // a schema is made in one transaction: where it exists, it is whole
    let exists: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
        .bind(schema.as_str())
        .fetch_one(&mut *tx)
        .await?;
    if !exists {
        let definition = format!("create schema {schema};\n{}", view.definition());
        sqlx::raw_sql(&schema.sql(&definition))
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(
        "insert into view_pointers (name, schema) values ($1, $2) on conflict (name) do nothing",
    )
    .bind(view.name())
    .bind(schema.as_str())
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Runs the projectors of all read models until the subscriptions are closed.
pub async fn spawn_all(subscriptions: &Subscriptions) {
    subscriptions.spawn(RowProjector::<RegionView>::new()).await;
    subscriptions
        .spawn(RowProjector::<CategoryView>::new())
        .await;
    subscriptions.spawn(RowProjector::<ShopView>::new()).await;
    subscriptions.spawn(ProductsProjector::new()).await;
    subscriptions
        .spawn(RowProjector::<DiscountView>::new())
        .await;
    subscriptions.spawn(CartsProjector::new()).await;
    subscriptions.spawn(OrdersProjector::new()).await;
    subscriptions.spawn(PaymentsProjector::new()).await;
    subscriptions.spawn(TimelineProjector::new()).await;
}

/// Handles the events of a parked key again and lets it go on; see [`subscription::retry`]. To give up on them
/// instead: [`subscription::discard`] with the name of [`View::schema`].
pub async fn retry(log: &EventLog, view: View, key: &str) -> Result<usize, HandleError> {
    match view {
        View::Regions => {
            subscription::retry(log, &mut RowProjector::<RegionView>::new(), key).await
        }
        View::Categories => {
            subscription::retry(log, &mut RowProjector::<CategoryView>::new(), key).await
        }
        View::Shops => subscription::retry(log, &mut RowProjector::<ShopView>::new(), key).await,
        View::Products => subscription::retry(log, &mut ProductsProjector::new(), key).await,
        View::Discounts => {
            subscription::retry(log, &mut RowProjector::<DiscountView>::new(), key).await
        }
        View::Carts => subscription::retry(log, &mut CartsProjector::new(), key).await,
        View::Orders => subscription::retry(log, &mut OrdersProjector::new(), key).await,
        View::Payments => subscription::retry(log, &mut PaymentsProjector::new(), key).await,
        View::Timeline => subscription::retry(log, &mut TimelineProjector::new(), key).await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_view_is_found_by_its_name_and_by_its_subscription() {
        for view in View::ALL {
            assert_eq!(view.name().parse::<View>(), Ok(view));
            assert_eq!(view.schema().as_str().parse::<View>(), Ok(view));
            assert_eq!(Schema::parse(view.schema().as_str()), Some(view.schema()));
        }
        assert!("orders_v0".parse::<View>().is_err());
    }

    #[test]
    fn a_schema_is_older_by_its_version_wherever_it_was_rebuilt() {
        for (schema, older) in [
            ("orders_v1", true),
            ("orders_v2_r7", true),
            ("orders_v3", false),
            ("orders_v3_r1", false),
            ("orders_v10", false),
            ("orders", false),
            ("carts_v1", false),
        ] {
            assert_eq!(View::Orders.is_older(schema), older, "{schema}");
        }
    }

    #[test]
    fn a_schema_name_cannot_carry_sql() {
        for bad in [
            "",
            "Orders",
            "orders v1",
            "orders;drop",
            "\"orders\"",
            &"x".repeat(64),
        ] {
            assert_eq!(Schema::parse(bad), None, "{bad}");
        }
    }
}
