//! Every command in every state of an inventory, and the numbers that follow.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::testing::{
    ORDER, OTHER_ORDER, PRODUCT, assert_text, given, history, operation, outcomes, pieces, reason,
    when,
};

fn receive(number: u128, quantity: u64) -> InventoryCommand {
    let reason = Some(reason("delivery"));
    InventoryCommand::ReceiveStock {
        product_id: PRODUCT,
        operation_id: operation(number),
        quantity: pieces(quantity),
        reason,
    }
}

fn adjust(number: u128, delta: i64) -> InventoryCommand {
    InventoryCommand::AdjustStock {
        product_id: PRODUCT,
        operation_id: operation(number),
        delta,
        reason: None,
    }
}

fn set(number: u128, available: i64) -> InventoryCommand {
    InventoryCommand::SetStock {
        product_id: PRODUCT,
        operation_id: operation(number),
        available,
        reason: None,
    }
}

fn reserve(order_id: OrderId, quantity: u64) -> InventoryCommand {
    InventoryCommand::ReserveStock {
        product_id: PRODUCT,
        order_id,
        quantity: pieces(quantity),
    }
}

fn release(order_id: OrderId) -> InventoryCommand {
    InventoryCommand::ReleaseStock {
        product_id: PRODUCT,
        order_id,
    }
}

fn sell(order_id: OrderId) -> InventoryCommand {
    InventoryCommand::SellStock {
        product_id: PRODUCT,
        order_id,
    }
}

fn take_back(number: u128, quantity: u64) -> InventoryCommand {
    let (order_id, operation_id) = (ORDER, operation(number));
    InventoryCommand::ReturnStock {
        product_id: PRODUCT,
        order_id,
        operation_id,
        quantity: pieces(quantity),
    }
}

fn watch(threshold: u32) -> InventoryCommand {
    InventoryCommand::SetLowStockThreshold {
        product_id: PRODUCT,
        threshold,
    }
}

fn after(commands: impl IntoIterator<Item = InventoryCommand>) -> Vec<InventoryEvent> {
    history::<Inventory>(&[], commands)
}

/// received, available, reserved, sold
fn numbers(history: &[InventoryEvent]) -> (i64, i64, i64, i64) {
    let stock = given::<Inventory>(history);
    (
        stock.received(),
        stock.available(),
        stock.reserved(),
        stock.sold(),
    )
}

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unknown", vec![]),
        ("10 there", after([receive(1, 10)])),
        (
            "4 of 10 reserved",
            after([receive(1, 10), reserve(ORDER, 4)]),
        ),
        (
            "all reserved by another",
            after([receive(1, 10), reserve(OTHER_ORDER, 10)]),
        ),
        (
            "4 of 10 sold",
            after([receive(1, 10), reserve(ORDER, 4), sell(ORDER)]),
        ),
        (
            "released",
            after([receive(1, 10), reserve(ORDER, 4), release(ORDER)]),
        ),
        (
            "oversold",
            after([receive(1, 10), reserve(ORDER, 4), set(2, -3)]),
        ),
    ];
    let commands = [
        ("ReceiveStock 5", receive(9, 5)),
        ("ReceiveStock, operation 1 again", receive(1, 10)),
        ("AdjustStock +1", adjust(9, 1)),
        ("AdjustStock -1", adjust(9, -1)),
        ("AdjustStock 0", adjust(9, 0)),
        ("AdjustStock, operation 1 again", adjust(1, -1)),
        ("AdjustStock, out of range", adjust(9, i64::MAX)),
        ("SetStock 6", set(9, 6)),
        ("SetStock -1", set(9, -1)),
        ("ReserveStock 4", reserve(ORDER, 4)),
        ("ReserveStock 10", reserve(ORDER, 10)),
        ("ReserveStock 11", reserve(ORDER, 11)),
        ("ReleaseStock", release(ORDER)),
        ("SellStock", sell(ORDER)),
        ("ReturnStock 2", take_back(9, 2)),
        ("ReturnStock 5", take_back(9, 5)),
        ("ReturnStock, operation 1 again", take_back(1, 1)),
        ("SetLowStockThreshold 6", watch(6)),
        ("SetLowStockThreshold 0", watch(0)),
    ];
    let expected = "
ReceiveStock 5
  StockReceived: unknown, 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
ReceiveStock, operation 1 again
  StockReceived: unknown
  -: 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
AdjustStock +1
  StockAdjusted: unknown, 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
AdjustStock -1
  StockAdjusted StockOversold StockRanLow: unknown
  StockAdjusted: 10 there, released, oversold
  StockAdjusted StockRanLow: 4 of 10 reserved, 4 of 10 sold
  StockAdjusted StockOversold: all reserved by another
AdjustStock 0
  -: unknown, 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
AdjustStock, operation 1 again
  StockAdjusted StockOversold StockRanLow: unknown
  -: 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
AdjustStock, out of range
  StockAdjusted: unknown
  !Overflow: 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
SetStock 6
  StockAdjusted: unknown, 10 there, released
  -: 4 of 10 reserved, 4 of 10 sold
  StockAdjusted StockRecovered: all reserved by another, oversold
SetStock -1
  StockAdjusted StockOversold StockRanLow: unknown, 10 there, 4 of 10 reserved, 4 of 10 sold, released
  StockAdjusted StockOversold: all reserved by another
  StockAdjusted: oversold
ReserveStock 4
  !InsufficientStock: unknown, all reserved by another
  StockReserved: 10 there, released
  -: 4 of 10 reserved, oversold
  StockReserved StockRanLow: 4 of 10 sold
ReserveStock 10
  !InsufficientStock: unknown, all reserved by another, 4 of 10 sold, oversold
  StockReserved StockRanLow: 10 there, released
  StockReleased StockReserved StockRanLow: 4 of 10 reserved
ReserveStock 11
  !InsufficientStock: unknown, 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
ReleaseStock
  -: unknown, 10 there, all reserved by another, 4 of 10 sold, released
  StockReleased: 4 of 10 reserved, oversold
SellStock
  !NoReservation: unknown, 10 there, all reserved by another, 4 of 10 sold, released
  StockSold: 4 of 10 reserved, oversold
ReturnStock 2
  !NotSold: unknown, 10 there, 4 of 10 reserved, all reserved by another, released, oversold
  StockReturned: 4 of 10 sold
ReturnStock 5
  !NotSold: unknown, 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
ReturnStock, operation 1 again
  !NotSold: unknown
  -: 10 there, 4 of 10 reserved, all reserved by another, 4 of 10 sold, released, oversold
SetLowStockThreshold 6
  LowStockThresholdSet StockRanLow: unknown, 4 of 10 reserved, 4 of 10 sold
  LowStockThresholdSet: 10 there, all reserved by another, released, oversold
SetLowStockThreshold 0
  LowStockThresholdSet: unknown, 10 there, 4 of 10 reserved, 4 of 10 sold, released
  LowStockThresholdSet StockRecovered: all reserved by another, oversold
";
    assert_text(&outcomes::<Inventory>(&states, &commands), expected);
}

#[test]
fn a_delivery_is_there_to_be_reserved() {
    let expected = InventoryEvent::StockReceived {
        product_id: PRODUCT,
        operation_id: operation(1),
        quantity: pieces(10),
        available: 10,
        reason: Some(reason("delivery")),
    };
    assert_eq!(when::<Inventory>(&[], receive(1, 10)), Ok(vec![expected]));
}

#[test]
fn a_reservation_moves_pieces_and_a_sale_takes_them_away() {
    let mut told = after([receive(1, 10), reserve(ORDER, 4)]);
    assert_eq!(numbers(&told), (10, 6, 4, 0));
    assert_eq!(
        given::<Inventory>(&told).reserved_for(ORDER),
        Some(pieces(4))
    );
    told = history::<Inventory>(&told, [sell(ORDER)]);
    assert_eq!(numbers(&told), (10, 6, 0, 4));
    assert_eq!(given::<Inventory>(&told).reserved_for(ORDER), None);
    told = history::<Inventory>(&told, [take_back(2, 3)]);
    assert_eq!(numbers(&told), (10, 9, 0, 1));
}

#[test]
fn a_refusal_says_how_many_can_be_had() {
    let told = after([receive(1, 10), reserve(OTHER_ORDER, 8)]);
    let error = InventoryError::InsufficientStock {
        requested: pieces(3),
        available: 2,
    };
    assert_eq!(error.to_string(), "3 pieces were asked for, 2 can be had");
    assert_eq!(when::<Inventory>(&told, reserve(ORDER, 3)), Err(error));
}

#[test]
fn another_quantity_replaces_the_buyers_own_reservation() {
    let told = after([receive(1, 10), reserve(ORDER, 8)]);
    let (product_id, order_id) = (PRODUCT, ORDER);
    let released = InventoryEvent::StockReleased {
        product_id,
        order_id,
        quantity: pieces(8),
        available: 10,
    };
    let reserved = InventoryEvent::StockReserved {
        product_id,
        order_id,
        quantity: pieces(10),
        available: 0,
    };
    assert_eq!(
        when::<Inventory>(&told, reserve(ORDER, 10)),
        Ok(vec![released, reserved])
    );
    let error = InventoryError::InsufficientStock {
        requested: pieces(11),
        available: 10,
    };
    assert_eq!(when::<Inventory>(&told, reserve(ORDER, 11)), Err(error));
}

#[test]
fn a_reservation_may_shrink_when_more_is_promised_than_is_there() {
    let told = after([
        receive(1, 10),
        reserve(ORDER, 8),
        adjust(2, -5),
        reserve(ORDER, 6),
    ]);
    assert_eq!(numbers(&told), (5, -1, 6, 0));
    let error = InventoryError::InsufficientStock {
        requested: pieces(7),
        available: 5,
    };
    assert_eq!(when::<Inventory>(&told, reserve(ORDER, 7)), Err(error));
}

#[test]
fn a_correction_below_zero_is_told_once() {
    let told = after([receive(1, 10), reserve(ORDER, 8)]);
    let adjusted = |number, delta, available| InventoryEvent::StockAdjusted {
        product_id: PRODUCT,
        operation_id: operation(number),
        delta,
        available,
        reason: None,
    };
    let oversold = InventoryEvent::StockOversold {
        product_id: PRODUCT,
        available: -3,
    };
    assert_eq!(
        when::<Inventory>(&told, adjust(2, -5)),
        Ok(vec![adjusted(2, -5, -3), oversold])
    );
    let below = history::<Inventory>(&told, [adjust(2, -5)]);
    assert_eq!(numbers(&below), (5, -3, 8, 0));
    assert_eq!(
        when::<Inventory>(&below, adjust(3, -1)),
        Ok(vec![adjusted(3, -1, -4)])
    );
    // nobody can reserve what is not there, yet the reservation that is there can be sold
    let error = InventoryError::InsufficientStock {
        requested: pieces(1),
        available: -3,
    };
    assert_eq!(
        when::<Inventory>(&below, reserve(OTHER_ORDER, 1)),
        Err(error)
    );
    assert_eq!(
        numbers(&history::<Inventory>(&below, [sell(ORDER)])),
        (5, -3, 0, 8)
    );
}

fn ran_low(available: i64, threshold: u32) -> InventoryEvent {
    InventoryEvent::StockRanLow {
        product_id: PRODUCT,
        available,
        threshold,
    }
}

const fn recovered(available: i64) -> InventoryEvent {
    InventoryEvent::StockRecovered {
        product_id: PRODUCT,
        available,
    }
}

fn low_or_not(told: &[InventoryEvent]) -> Vec<InventoryEvent> {
    let mut told = told.to_vec();
    told.retain(|event| {
        matches!(
            event,
            InventoryEvent::StockRanLow { .. } | InventoryEvent::StockRecovered { .. }
        )
    });
    told
}

#[test]
fn low_stock_is_told_once_when_it_gets_there_and_once_when_it_is_over() {
    let told = after([
        receive(1, 10),
        reserve(ORDER, 4),
        reserve(OTHER_ORDER, 1),
        adjust(2, -1),
        sell(ORDER),
        release(OTHER_ORDER),
        receive(3, 1),
        take_back(4, 2),
        adjust(5, -8),
    ]);
    // 10, 6, 5, 4, 4, 5, 6, 8, 0
    let expected = [ran_low(5, LOW_STOCK), recovered(6), ran_low(0, LOW_STOCK)];
    assert_eq!(low_or_not(&told), expected);
}

#[test]
fn a_small_delivery_is_not_a_shortage_until_the_first_piece_goes() {
    let told = after([receive(1, 3), receive(2, 1)]);
    assert_eq!(low_or_not(&told), []);
    let told = history::<Inventory>(&told, [reserve(ORDER, 1)]);
    assert_eq!(low_or_not(&told), [ran_low(3, LOW_STOCK)]);
}

#[test]
fn another_threshold_is_told_with_what_follows_from_it() {
    let told = after([receive(1, 10)]);
    let set = |threshold, previous| InventoryEvent::LowStockThresholdSet {
        product_id: PRODUCT,
        threshold,
        previous,
    };
    let when = when::<Inventory>;
    assert_eq!(
        when(&told, watch(10)),
        Ok(vec![set(10, LOW_STOCK), ran_low(10, 10)])
    );
    assert_eq!(when(&told, watch(9)), Ok(vec![set(9, LOW_STOCK)]));
    let low = history::<Inventory>(&told, [watch(10)]);
    assert_eq!(when(&low, watch(10)), Ok(vec![]));
    assert_eq!(when(&low, watch(9)), Ok(vec![set(9, 10), recovered(10)]));
    assert_eq!(when(&low, watch(12)), Ok(vec![set(12, 10)]));
    // nobody is to be told any more, so that it is over
    assert_eq!(when(&low, watch(0)), Ok(vec![set(0, 10), recovered(10)]));
    let unwatched = history::<Inventory>(&low, [watch(0), reserve(ORDER, 10)]);
    assert_eq!(
        low_or_not(&unwatched),
        [ran_low(10, 10), recovered(10)],
        "without a threshold nothing is low"
    );
}

#[test]
fn relative_corrections_add_up_and_absolute_ones_end_where_they_say() {
    let told = after([receive(1, 10), adjust(2, -3), adjust(3, -3)]);
    assert_eq!(numbers(&told), (4, 4, 0, 0));
    let told = history::<Inventory>(&told, [reserve(ORDER, 1), set(4, 20)]);
    assert_eq!(numbers(&told), (21, 20, 1, 0));
}

#[test]
fn an_operation_is_recognised_for_64_operations() {
    let told = after((0..REMEMBERED_OPERATIONS as u128).map(|number| receive(number, 1)));
    assert_eq!(when::<Inventory>(&told, receive(0, 1)), Ok(vec![]));
    let told = history::<Inventory>(&told, [receive(1000, 1)]);
    assert_eq!(when::<Inventory>(&told, receive(1, 1)), Ok(vec![]));
    assert_eq!(
        given::<Inventory>(&told).operations.len(),
        REMEMBERED_OPERATIONS
    );
    assert!(!when::<Inventory>(&told, receive(0, 1)).unwrap().is_empty());
}

#[test]
fn numbers_beyond_64_bits_are_refused() {
    let full = after([adjust(1, i64::MAX)]);
    for command in [receive(2, 1), adjust(2, 1)] {
        assert_eq!(
            when::<Inventory>(&full, command),
            Err(InventoryError::Overflow)
        );
    }
    let reserved = history::<Inventory>(&full, [reserve(ORDER, 10)]);
    assert_eq!(
        when::<Inventory>(&reserved, adjust(2, 1)),
        Err(InventoryError::Overflow)
    );
    let empty = after([adjust(1, i64::MIN)]);
    assert_eq!(
        when::<Inventory>(&empty, adjust(2, -1)),
        Err(InventoryError::Overflow)
    );
    assert_eq!(
        when::<Inventory>(&empty, set(2, i64::MAX)),
        Err(InventoryError::Overflow)
    );
}
