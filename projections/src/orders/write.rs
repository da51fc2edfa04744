//! What the projector reads and writes: one statement per table and batch, rows as arrays.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::{
    ids::ShipmentId,
    order::{LineQuantity, OrderEvent},
};
use eventstore::subscription::HandleError;
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    columns::{FrozenColumns, LineColumns, MovingColumns},
    state::{OrderState, parse_payment_status, parse_status},
};
use crate::{decode::Decoded, views::Schema};

/// An order that the batch placed, as it is after the batch.
pub(super) struct NewOrder<'e> {
    pub(super) decoded: &'e Decoded<OrderEvent>,
    pub(super) state: OrderState,
}

/// Pieces handed to carriers, by order, line and shipment.
#[derive(Default)]
pub(super) struct ShippedLines {
    pieces: BTreeMap<(Uuid, i32, Uuid), (i64, DateTime<Utc>)>,
}

impl ShippedLines {
    /// A line named twice in one shipment is one row.
    pub(super) fn add(
        &mut self,
        decoded: &Decoded<OrderEvent>,
        shipment_id: ShipmentId,
        line: &LineQuantity,
    ) {
        let key = (decoded.id, line.line as i32, shipment_id.0);
        self.pieces.entry(key).or_insert((0, decoded.at)).0 += i64::from(line.quantity);
    }
}

/// The SQL, for one schema.
pub(super) struct Statements {
    load: String,
    insert: String,
    insert_states: String,
    insert_lines: String,
    update: String,
    ship: String,
}

impl Statements {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            load: schema.sql(
                "select order_id, status, payment_status, payment_id, paid, paid_at, refunded, \
                        cancellation_requested, cancellation_reason, sequence, updated_at \
                 from {schema}.order_states where order_id = any($1)",
            ),
            insert: schema.sql(
                "insert into {schema}.orders (order_id, customer_id, customer_name, shipping_address, region_id, \
                        currency, tax_rate, prices_include_tax, payment_method, subtotal, discount, tax, total, \
                        payment_due_at, created_at) \
                 select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], \
                        $7::int[], $8::bool[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], \
                        $13::bigint[], $14::timestamptz[], $15::timestamptz[])",
            ),
            insert_states: schema.sql(
                "insert into {schema}.order_states (order_id, created_at, status, payment_status, payment_id, paid, \
                        paid_at, refunded, cancellation_requested, cancellation_reason, sequence, updated_at) \
                 select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], \
                        $6::bigint[], $7::timestamptz[], $8::bigint[], $9::bool[], $10::text[], $11::bigint[], \
                        $12::timestamptz[])",
            ),
            insert_lines: schema.sql(
                "insert into {schema}.order_lines (order_id, line, product_id, sku, title, quantity, unit_price, \
                        discount, net, tax, gross) \
                 select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], \
                        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])",
            ),
            update: schema.sql(
                "update {schema}.order_states s set status = n.status, payment_status = n.payment_status, \
                        payment_id = n.payment_id, paid = n.paid, paid_at = n.paid_at, refunded = n.refunded, \
                        cancellation_requested = n.cancellation_requested, \
                        cancellation_reason = n.cancellation_reason, sequence = n.sequence, \
                        updated_at = n.updated_at \
                 from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::timestamptz[], \
                        $7::bigint[], $8::bool[], $9::text[], $10::bigint[], $11::timestamptz[]) \
                      as n (order_id, status, payment_status, payment_id, paid, paid_at, refunded, \
                            cancellation_requested, cancellation_reason, sequence, updated_at) \
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

    /// The states of those orders of the batch that have a row.
    pub(super) async fn load(
        &self,
        decoded: &[Decoded<OrderEvent>],
        tx: &mut PgConnection,
    ) -> Result<HashMap<Uuid, OrderState>, HandleError> {
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let rows = sqlx::query(&self.load).bind(ids).fetch_all(tx).await?;
        Ok(rows.iter().map(state_of).collect::<Result<_, _>>()?)
    }

    /// Writes the orders that the batch placed, with their lines.
    pub(super) async fn insert<'o, 'e: 'o>(
        &self,
        orders: impl Iterator<Item = &'o NewOrder<'e>>,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let mut frozen = FrozenColumns::default();
        let mut moving = MovingColumns::default();
        let mut lines = LineColumns::default();
        for order in orders {
            frozen.push(order.decoded, &mut lines);
            moving.push(order.decoded.id, &order.state);
        }
        if moving.is_empty() {
            return Ok(());
        }
        let states = sqlx::query(&self.insert_states)
            .bind(moving.take_ids())
            .bind(frozen.created_at.clone());
        moving.bind(states).execute(&mut *tx).await?;
        frozen
            .bind(sqlx::query(&self.insert))
            .execute(&mut *tx)
            .await?;
        lines
            .bind(sqlx::query(&self.insert_lines))
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Writes what moved of orders that have a row.
    pub(super) async fn update(
        &self,
        orders: impl Iterator<Item = (&Uuid, &OrderState)>,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let mut moving = MovingColumns::default();
        for (id, state) in orders {
            moving.push(*id, state);
        }
        if moving.is_empty() {
            return Ok(());
        }
        let update = sqlx::query(&self.update).bind(moving.take_ids());
        moving.bind(update).execute(tx).await?;
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
        sequence: row.try_get("sequence")?,
        updated_at: row.try_get("updated_at")?,
        changed: false,
    };
    Ok((row.try_get("order_id")?, state))
}
