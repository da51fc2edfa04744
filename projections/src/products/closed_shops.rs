//! What is of closed shops is shown no more. A shop is closed for good, so that it is enough to know which are: whether
//! the shop or its product comes first makes no difference.

use domain::shop::ShopEvent;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{decode::Decoded, views::Schema};

/// The shop that the event closes, where it closes one.
pub(super) fn closed(decoded: &Decoded<ShopEvent>) -> Option<Uuid> {
    match decoded.event {
        ShopEvent::ShopClosed {} => Some(decoded.id),
        ShopEvent::ShopRequested { .. }
        | ShopEvent::ShopOpened { .. }
        | ShopEvent::ShopDetailsChanged { .. } => None,
    }
}

/// Notes these shops down, and hides what is of them.
pub(super) async fn close(
    schema: &Schema,
    shops: &[Uuid],
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let note = schema.sql(
        "insert into {schema}.closed_shops (shop_id) select distinct unnest($1::uuid[]) on conflict do nothing",
    );
    sqlx::query(&note)
        .bind(shops)
        .execute(&mut *connection)
        .await?;
    let hide = schema.sql(
        "update {schema}.products set shop_closed = true where shop_id = any($1) and not shop_closed",
    );
    sqlx::query(&hide).bind(shops).execute(connection).await?;
    Ok(())
}

/// Hides those of the products that are of shops which were noted down before.
pub(super) async fn hide(
    schema: &Schema,
    products: &[Uuid],
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let sql = schema.sql(
        "update {schema}.products p set shop_closed = true from {schema}.closed_shops c \
         where p.product_id = any($1) and c.shop_id = p.shop_id and not p.shop_closed",
    );
    sqlx::query(&sql).bind(products).execute(connection).await?;
    Ok(())
}
