//! Rebuilds the orders: what hardly ever changes is copied as it comes, what moves is folded in memory first. The few
//! orders whose contact or items were changed are changed behind the copy, by the projector's own statements.

use std::collections::HashMap;

use domain::order::{Order, OrderEvent};
use eventstore::subscription::HandleError;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    rows::{Changes, OrderRow, ShippedLines},
    state::OrderState,
    write::Statements,
};
use crate::{
    decode::{Decoded, EventRef, decode},
    rebuild::{Closed, CopyRows, Fold, Row, Rows, Writer},
    views::Schema,
};

/// See the module.
pub(crate) struct OrdersFold {
    schema: Schema,
    states: Rows<OrderState>,
    orders: CopyRows,
    lines: CopyRows,
    shops: CopyRows,
    shipped: CopyRows,
}

impl OrdersFold {
    fn copied(&mut self) -> [&mut CopyRows; 4] {
        [
            &mut self.orders,
            &mut self.lines,
            &mut self.shops,
            &mut self.shipped,
        ]
    }

    fn place(&mut self, row: &OrderRow<'_>) {
        self.orders.push(&[
            &row.order_id,
            &row.number,
            &row.customer_id,
            &row.customer_name,
            &row.shipping_address,
            &row.region_id,
            &row.currency,
            &row.tax_rate,
            &row.prices_include_tax,
            &row.payment_method,
            &row.subtotal,
            &row.discount,
            &row.tax,
            &row.total,
            &Json(row.discounts),
            &row.payment_due_at,
            &row.created_at,
        ]);
        for line in row.lines() {
            self.lines.push(&[
                &line.order_id,
                &line.line,
                &line.product_id,
                &line.shop_id,
                &line.sku,
                &line.title,
                &line.quantity,
                &line.unit_price,
                &line.discount,
                &line.net,
                &line.tax,
                &line.gross,
                &line.discount_id,
            ]);
        }
        for shop in row.shops() {
            self.shops
                .push(&[&shop.order_id, &shop.shop_id, &shop.created_at]);
        }
    }

    /// Has the changes made once all rows before them are written.
    fn change(&mut self, changes: Changes, writer: &Writer) -> Result<(), Closed> {
        if changes.is_empty() {
            return Ok(());
        }
        for rows in [&mut self.orders, &mut self.lines, &mut self.shops] {
            rows.send(writer)?;
        }
        let schema = self.schema.clone();
        writer.run(move |target| {
            Box::pin(async move {
                for table in ["orders", "order_lines", "order_shops"] {
                    target.key(table).await?;
                }
                Statements::new(&schema)
                    .change(&changes, &mut target.connection)
                    .await
            })
        })
    }

    fn ship(&mut self, decoded: &Decoded<OrderEvent>) {
        let mut shipped = ShippedLines::default();
        shipped.take(decoded);
        for ((order_id, line, shipment_id), (quantity, at)) in &shipped.pieces {
            self.shipped
                .push(&[order_id, line, shipment_id, quantity, at]);
        }
    }
}

/// The beginning of an order that no row can be there of.
fn is_new(decoded: &Decoded<OrderEvent>) -> bool {
    decoded.sequence == 1 && matches!(decoded.event, OrderEvent::OrderPlaced { .. })
}

impl Fold for OrdersFold {
    type Event = Decoded<OrderEvent>;

    fn new(schema: &Schema, limit: usize) -> Self {
        Self {
            schema: schema.clone(),
            states: Rows::new(schema, limit),
            orders: CopyRows::new(
                schema,
                "orders",
                "order_id, number, customer_id, customer_name, shipping_address, region_id, currency, tax_rate, \
                 prices_include_tax, payment_method, subtotal, discount, tax, total, discounts, payment_due_at, \
                 created_at",
            ),
            lines: CopyRows::new(
                schema,
                "order_lines",
                "order_id, line, product_id, shop_id, sku, title, quantity, unit_price, discount, net, tax, gross, \
                 discount_id",
            ),
            shops: CopyRows::new(schema, "order_shops", "order_id, shop_id, created_at"),
            shipped: CopyRows::new(
                schema,
                "shipped_lines",
                "order_id, line, shipment_id, quantity, shipped_at",
            ),
        }
    }

    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError> {
        decode::<Order>(event)
    }

    fn take(&mut self, events: Vec<Self::Event>, writer: &Writer) -> Result<(), Closed> {
        let known = events.iter().filter(|event| !is_new(event));
        self.states.fetch(known.map(|event| event.id), writer)?;
        let mut changes = Changes::default();
        for event in &events {
            let Some(state) = self.states.get_mut(event.id) else {
                if let Some(row) = OrderRow::placed(event) {
                    let state = OrderState::placed(event.sequence, event.at);
                    self.states.insert(event.id, state);
                    self.place(&row);
                }
                continue;
            };
            if state.take(event) {
                changes.take(event, state.created_at);
                self.ship(event);
            }
        }
        self.change(changes, writer)?;
        for rows in self.copied() {
            rows.send_full(writer)?;
        }
        self.states.shrink(writer)
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        for rows in self.copied() {
            rows.send(writer)?;
        }
        self.states.finish(writer)
    }
}

impl Row for OrderState {
    const TABLE: &'static str = "order_states";
    const COLUMNS: &'static str = "order_id, created_at, status, payment_status, payment_id, paid, paid_at, refunded, \
         cancellation_requested, cancellation_reason, deleted, sequence, updated_at";

    fn push(&self, id: Uuid, rows: &mut CopyRows) {
        rows.push(&[
            &id,
            &self.created_at,
            &self.status.as_str(),
            &self.payment_status.as_str(),
            &self.payment_id,
            &self.paid,
            &self.paid_at,
            &self.refunded,
            &self.cancellation_requested,
            &self.cancellation_reason,
            &self.deleted,
            &self.sequence,
            &self.updated_at,
        ]);
    }

    async fn load(
        schema: &Schema,
        ids: &[Uuid],
        connection: &mut PgConnection,
    ) -> Result<HashMap<Uuid, Self>, HandleError> {
        Statements::new(schema).load(ids, connection).await
    }

    async fn update(
        schema: &Schema,
        rows: &HashMap<Uuid, Self>,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        Statements::new(schema).update(rows, connection).await
    }
}
