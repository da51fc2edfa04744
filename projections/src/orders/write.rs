//! What the projector reads and writes: one statement per table and batch, rows as arrays.

use std::collections::HashMap;

use eventstore::subscription::HandleError;
use sqlx::{PgConnection, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    rows::{Changes, LineRow, OrderRow, ShippedLines, ShopRow},
    state::{OrderState, parse_payment_status, parse_status},
};
use crate::views::Schema;

/// The SQL, for one schema.
pub(super) struct Statements {
    load: String,
    insert: String,
    insert_states: String,
    insert_lines: String,
    insert_shops: String,
    change_contacts: String,
    change_totals: String,
    delete_lines: String,
    delete_shops: String,
    update: String,
    ship: String,
}

impl Statements {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            load: schema.sql(
                "select order_id, status, payment_status, payment_id, paid, paid_at, refunded, \
                        cancellation_requested, cancellation_reason, deleted, sequence, created_at, updated_at \
                 from {schema}.order_states where order_id = any($1)",
            ),
            insert: schema.sql(
                "insert into {schema}.orders (order_id, number, customer_id, customer_name, shipping_address, region_id, \
                        currency, tax_rate, prices_include_tax, payment_method, subtotal, discount, tax, total, \
                        discounts, payment_due_at, created_at) \
                 select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], \
                        $7::text[], $8::int[], $9::bool[], $10::text[], $11::bigint[], $12::bigint[], \
                        $13::bigint[], $14::bigint[], $15::jsonb[], $16::timestamptz[], $17::timestamptz[])",
            ),
            insert_states: schema.sql(
                "insert into {schema}.order_states (order_id, status, payment_status, payment_id, paid, paid_at, refunded, \
                        cancellation_requested, cancellation_reason, deleted, sequence, updated_at, created_at) \
                 select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], \
                        $6::timestamptz[], $7::bigint[], $8::bool[], $9::text[], $10::bool[], $11::bigint[], \
                        $12::timestamptz[], $13::timestamptz[])",
            ),
            insert_lines: schema.sql(
                "insert into {schema}.order_lines (order_id, line, product_id, shop_id, sku, title, quantity, \
                        unit_price, discount, net, tax, gross, discount_id) \
                 select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], \
                        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], \
                        $13::uuid[])",
            ),
            insert_shops: schema.sql(
                "insert into {schema}.order_shops (order_id, shop_id, created_at) \
                 select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[])",
            ),
            change_contacts: schema.sql(
                "update {schema}.orders o set customer_name = coalesce(n.customer_name, o.customer_name), \
                        shipping_address = coalesce(n.shipping_address, o.shipping_address) \
                 from unnest($1::uuid[], $2::text[], $3::text[]) as n (order_id, customer_name, shipping_address) \
                 where o.order_id = n.order_id",
            ),
            change_totals: schema.sql(
                "update {schema}.orders o set subtotal = n.subtotal, discount = n.discount, tax = n.tax, \
                        total = n.total, discounts = n.discounts \
                 from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::jsonb[]) \
                      as n (order_id, subtotal, discount, tax, total, discounts) \
                 where o.order_id = n.order_id",
            ),
            delete_lines: schema.sql("delete from {schema}.order_lines where order_id = any($1)"),
            delete_shops: schema.sql("delete from {schema}.order_shops where order_id = any($1)"),
            update: schema.sql(
                "update {schema}.order_states s set status = n.status, payment_status = n.payment_status, \
                        payment_id = n.payment_id, paid = n.paid, paid_at = n.paid_at, refunded = n.refunded, \
                        cancellation_requested = n.cancellation_requested, \
                        cancellation_reason = n.cancellation_reason, deleted = n.deleted, \
                        sequence = n.sequence, updated_at = n.updated_at \
                 from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::timestamptz[], \
                        $7::bigint[], $8::bool[], $9::text[], $10::bool[], $11::bigint[], $12::timestamptz[]) \
                      as n (order_id, status, payment_status, payment_id, paid, paid_at, refunded, \
                            cancellation_requested, cancellation_reason, deleted, sequence, updated_at) \
                 where s.order_id = n.order_id",
            ),
            ship: schema.sql(
                "insert into {schema}.shipped_lines (order_id, line, shipment_id, quantity, shipped_at) \
                 select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::bigint[], $5::timestamptz[]) \
                 on conflict (order_id, line, shipment_id) do update \
                 set quantity = excluded.quantity, shipped_at = excluded.shipped_at",
            ),
        }
    }

    /// The states of those of the orders that have a row.
    pub(super) async fn load(
        &self,
        ids: &[Uuid],
        tx: &mut PgConnection,
    ) -> Result<HashMap<Uuid, OrderState>, HandleError> {
        let rows = sqlx::query(&self.load).bind(ids).fetch_all(tx).await?;
        Ok(rows.iter().map(state_of).collect::<Result<_, _>>()?)
    }

    /// Writes new orders, with their lines.
    pub(super) async fn insert(
        &self,
        orders: &[(OrderRow<'_>, OrderState)],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        if orders.is_empty() {
            return Ok(());
        }
        let states: Vec<_> = orders
            .iter()
            .map(|(row, state)| (row.order_id, state))
            .collect();
        bind_states(sqlx::query(&self.insert_states), &states)
            .bind(column(&states, |(_, state)| state.created_at))
            .execute(&mut *tx)
            .await?;
        sqlx::query(&self.insert)
            .bind(column(orders, |(row, _)| row.order_id))
            .bind(column(orders, |(row, _)| row.number))
            .bind(column(orders, |(row, _)| row.customer_id))
            .bind(column(orders, |(row, _)| row.customer_name))
            .bind(column(orders, |(row, _)| row.shipping_address))
            .bind(column(orders, |(row, _)| row.region_id))
            .bind(column(orders, |(row, _)| row.currency))
            .bind(column(orders, |(row, _)| row.tax_rate))
            .bind(column(orders, |(row, _)| row.prices_include_tax))
            .bind(column(orders, |(row, _)| row.payment_method))
            .bind(column(orders, |(row, _)| row.subtotal))
            .bind(column(orders, |(row, _)| row.discount))
            .bind(column(orders, |(row, _)| row.tax))
            .bind(column(orders, |(row, _)| row.total))
            .bind(column(orders, |(row, _)| Json(row.discounts)))
            .bind(column(orders, |(row, _)| row.payment_due_at))
            .bind(column(orders, |(row, _)| row.created_at))
            .execute(&mut *tx)
            .await?;
        let lines: Vec<LineRow<'_>> = orders.iter().flat_map(|(row, _)| row.lines()).collect();
        let shops: Vec<ShopRow> = orders.iter().flat_map(|(row, _)| row.shops()).collect();
        self.insert_lines(&lines, &shops, tx).await
    }

    async fn insert_lines(
        &self,
        lines: &[LineRow<'_>],
        shops: &[ShopRow],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        sqlx::query(&self.insert_lines)
            .bind(column(lines, |line| line.order_id))
            .bind(column(lines, |line| line.line))
            .bind(column(lines, |line| line.product_id))
            .bind(column(lines, |line| line.shop_id))
            .bind(column(lines, |line| line.sku))
            .bind(column(lines, |line| line.title))
            .bind(column(lines, |line| line.quantity))
            .bind(column(lines, |line| line.unit_price))
            .bind(column(lines, |line| line.discount))
            .bind(column(lines, |line| line.net))
            .bind(column(lines, |line| line.tax))
            .bind(column(lines, |line| line.gross))
            .bind(column(lines, |line| line.discount_id))
            .execute(&mut *tx)
            .await?;
        if shops.is_empty() {
            return Ok(());
        }
        sqlx::query(&self.insert_shops)
            .bind(column(shops, |shop| shop.order_id))
            .bind(column(shops, |shop| shop.shop_id))
            .bind(column(shops, |shop| shop.created_at))
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Writes what was changed of orders that have their rows.
    pub(super) async fn change(
        &self,
        changes: &Changes,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let contacts: Vec<_> = changes.contacts.iter().collect();
        if !contacts.is_empty() {
            sqlx::query(&self.change_contacts)
                .bind(column(&contacts, |(id, _)| **id))
                .bind(column(&contacts, |(_, now)| now.customer_name.as_deref()))
                .bind(column(&contacts, |(_, now)| {
                    now.shipping_address.as_deref()
                }))
                .execute(&mut *tx)
                .await?;
        }
        let items: Vec<_> = changes.items.iter().collect();
        if items.is_empty() {
            return Ok(());
        }
        let ids = column(&items, |(id, _)| **id);
        sqlx::query(&self.change_totals)
            .bind(&ids)
            .bind(column(&items, |(_, now)| now.subtotal))
            .bind(column(&items, |(_, now)| now.discount))
            .bind(column(&items, |(_, now)| now.tax))
            .bind(column(&items, |(_, now)| now.total))
            .bind(column(&items, |(_, now)| Json(&now.discounts)))
            .execute(&mut *tx)
            .await?;
        for delete in [&self.delete_lines, &self.delete_shops] {
            sqlx::query(delete).bind(&ids).execute(&mut *tx).await?;
        }
        let lines: Vec<LineRow<'_>> = items.iter().flat_map(|(id, now)| now.lines(**id)).collect();
        let shops: Vec<ShopRow> = items.iter().flat_map(|(id, now)| now.shops(**id)).collect();
        self.insert_lines(&lines, &shops, tx).await
    }

    /// Writes those of the orders with a row that have moved.
    pub(super) async fn update(
        &self,
        states: &HashMap<Uuid, OrderState>,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let moved = states.iter().filter(|(_, state)| state.changed);
        let moved: Vec<_> = moved.map(|(id, state)| (*id, state)).collect();
        if moved.is_empty() {
            return Ok(());
        }
        bind_states(sqlx::query(&self.update), &moved)
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Writes the shipments of the batch.
    pub(super) async fn ship(
        &self,
        shipped: &ShippedLines,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let pieces = &shipped.pieces;
        if pieces.is_empty() {
            return Ok(());
        }
        sqlx::query(&self.ship)
            .bind(pieces.keys().map(|key| key.0).collect::<Vec<_>>())
            .bind(pieces.keys().map(|key| key.1).collect::<Vec<_>>())
            .bind(pieces.keys().map(|key| key.2).collect::<Vec<_>>())
            .bind(pieces.values().map(|shipped| shipped.0).collect::<Vec<_>>())
            .bind(pieces.values().map(|shipped| shipped.1).collect::<Vec<_>>())
            .execute(tx)
            .await?;
        Ok(())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// One value of each row.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// Binds the columns that both statements on states begin with.
fn bind_states<'q>(query: Query<'q>, states: &[(Uuid, &'q OrderState)]) -> Query<'q> {
    query
        .bind(column(states, |(id, _)| *id))
        .bind(column(states, |(_, state)| state.status.as_str()))
        .bind(column(states, |(_, state)| state.payment_status.as_str()))
        .bind(column(states, |(_, state)| state.payment_id))
        .bind(column(states, |(_, state)| state.paid))
        .bind(column(states, |(_, state)| state.paid_at))
        .bind(column(states, |(_, state)| state.refunded))
        .bind(column(states, |(_, state)| state.cancellation_requested))
        .bind(column(states, |(_, state)| {
            state.cancellation_reason.as_deref()
        }))
        .bind(column(states, |(_, state)| state.deleted))
        .bind(column(states, |(_, state)| state.sequence))
        .bind(column(states, |(_, state)| state.updated_at))
}

fn state_of(row: &PgRow) -> Result<(Uuid, OrderState), sqlx::Error> {
    let state = OrderState {
        status: parse_status(row.try_get("status")?)?,
        payment_status: parse_payment_status(row.try_get("payment_status")?)?,
        payment_id: row.try_get("payment_id")?,
        paid: row.try_get("paid")?,
        paid_at: row.try_get("paid_at")?,
        refunded: row.try_get("refunded")?,
        cancellation_requested: row.try_get("cancellation_requested")?,
        cancellation_reason: row.try_get("cancellation_reason")?,
        deleted: row.try_get("deleted")?,
        sequence: row.try_get("sequence")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        changed: false,
    };
    Ok((row.try_get("order_id")?, state))
}
