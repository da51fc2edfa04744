//! Commands at random, of few ids and small numbers, so that they meet.

use std::{fmt::Debug, num::NonZeroU32};

use proptest::{collection::vec, option, prelude::*, sample::select};
use uuid::Uuid;

use super::LONGEST_HISTORY;
use crate::{
    aggregate::Decider,
    automatic_discounts::AutomaticDiscountsCommand,
    cart::{CartCode, CartCommand, CartItem},
    category::CategoryCommand,
    discount::{CreateDiscount, DiscountCommand, DiscountRules, DiscountScope},
    ids::{DiscountId, OrderId, PaymentId, ProductId, RefundId, ShipmentId},
    inventory::InventoryCommand,
    money::Money,
    order::{ContactChange, Order, OrderCommand, OrderEvent, OrderNumber, PlaceOrder, ShipLine},
    payment::{PaymentCommand, StartPayment},
    pricing::{Offer, PricedItem},
    product::{Change, MAX_PRICE, ProductChanges, ProductCommand},
    redemptions::RedemptionsCommand,
    region::{RegionCommand, RegionTerms},
    sealed::Sealed,
    shop::ShopCommand,
    testing::{
        CATEGORY, CUSTOMER, DISCOUNT, ORDER, OTHER_ORDER, PRODUCT, REGION, SHOP, at, clothing,
        currency, off, operation, percent, pieces, rate, reason, sku, title, usd,
    },
    text::{CountryCode, Description, DiscountCode, ImageUrl, PaymentMethod, Reference},
};

pub(super) fn many<C: Debug>(command: impl Strategy<Value = C>) -> impl Strategy<Value = Vec<C>> {
    vec(command, 1..LONGEST_HISTORY)
}

pub(super) fn region_command() -> impl Strategy<Value = RegionCommand> {
    let name = || select(vec![title("North"), title("South")]);
    let country = || {
        select(vec![
            CountryCode::parse("VN").unwrap(),
            CountryCode::parse("SG").unwrap(),
        ])
    };
    let tax = || select(vec![rate(0), rate(1000)]);
    prop_oneof![
        (name(), country(), tax(), any::<bool>(), any::<bool>()).prop_map(
            |(title, country, tax_rate, inside, default)| {
                RegionCommand::OpenRegion {
                    region_id: REGION,
                    title,
                    country,
                    currency: currency("VND"),
                    tax_rate,
                    prices_include_tax: inside,
                    default_for_currency: default,
                }
            }
        ),
        (
            option::of(name()),
            option::of(country()),
            option::of(tax()),
            any::<Option<bool>>(),
            any::<Option<bool>>()
        )
            .prop_map(
                |(title, country, tax_rate, prices_include_tax, default_for_currency)| {
                    RegionCommand::ChangeRegion {
                        title,
                        country,
                        tax_rate,
                        prices_include_tax,
                        default_for_currency,
                    }
                }
            ),
        Just(RegionCommand::DisableRegion),
        Just(RegionCommand::EnableRegion),
        Just(RegionCommand::DeleteRegion),
    ]
}

fn change_to<T: Clone + Debug + 'static>(value: T) -> impl Strategy<Value = Change<T>> {
    select(vec![Change::Keep, Change::Clear, Change::Set(value)])
}

pub(super) fn category_command() -> impl Strategy<Value = CategoryCommand> {
    let name = || select(vec![title("Shirts"), title("Hats")]);
    prop_oneof![
        1 => name().prop_map(|title| CategoryCommand::CreateCategory { category_id: CATEGORY, title }),
        4 => name().prop_map(|title| CategoryCommand::RenameCategory { title }),
        1 => Just(CategoryCommand::DeleteCategory),
    ]
}

pub(super) fn shop_command() -> impl Strategy<Value = ShopCommand> {
    let name = || select(vec![title("Hats"), title("Coats")]);
    let text = || {
        select(vec![
            Description::parse("").unwrap(),
            Description::parse("A\nB").unwrap(),
        ])
    };
    prop_oneof![
        2 => (name(), text(), any::<bool>()).prop_map(|(title, description, needs_approval)| ShopCommand::OpenShop {
            shop_id: SHOP,
            owner_id: CUSTOMER,
            title,
            description,
            needs_approval,
        }),
        1 => Just(ShopCommand::ApproveShop),
        4 => (option::of(name()), option::of(text()))
            .prop_map(|(title, description)| ShopCommand::ChangeShop { title, description }),
        1 => Just(ShopCommand::CloseShop),
    ]
}

pub(super) fn product_command() -> impl Strategy<Value = ProductCommand> {
    let name = || select(vec![title("Tee"), title("Cap")]);
    let text = || {
        select(vec![
            Description::parse("").unwrap(),
            Description::parse("A\nB").unwrap(),
        ])
    };
    let image = || Just(ImageUrl::parse("https://x/1").unwrap());
    let price = || {
        select(vec![
            usd(0),
            usd(2599),
            usd(-1),
            usd(MAX_PRICE),
            usd(MAX_PRICE + 1),
            Money::new(1, currency("SGD")),
        ])
    };
    prop_oneof![
        1 => (name(), text(), option::of(image()), price()).prop_map(|(title, description, image_url, price)| {
            ProductCommand::CreateProduct {
                product_id: PRODUCT,
                region_id: REGION,
                region_currency: currency("USD"),
                sku: sku("TEE-1"),
                title,
                description,
                image_url,
                price,
                shop_id: None,
                category_id: None,
                specification: None,
            }
        }),
        4 => (
            option::of(name()),
            option::of(text()),
            change_to(ImageUrl::parse("https://x/1").unwrap()),
            option::of(price()),
            change_to(CATEGORY),
            change_to(clothing("M")),
        )
            .prop_map(|(title, description, image_url, price, category_id, specification)| {
                ProductCommand::UpdateProduct(ProductChanges {
                    title,
                    description,
                    image_url,
                    price,
                    category_id,
                    specification,
                })
            }),
        1 => Just(ProductCommand::DeleteProduct),
    ]
}

pub(super) fn inventory_command() -> impl Strategy<Value = InventoryCommand> {
    use InventoryCommand as C;
    let product_id = PRODUCT;
    let operation_id = || (0_u128..100).prop_map(operation);
    let order_id = || (0_u128..5).prop_map(|number| OrderId(Uuid::from_u128(number)));
    let quantity = || (1_u64..20).prop_map(pieces);
    let delta = prop_oneof![8 => -30_i64..30, 1 => any::<i64>()];
    prop_oneof![
        2 => (operation_id(), quantity()).prop_map(move |(operation_id, quantity)| {
            C::ReceiveStock { product_id, operation_id, quantity, reason: None }
        }),
        1 => (operation_id(), delta.clone()).prop_map(move |(operation_id, delta)| {
            C::AdjustStock { product_id, operation_id, delta, reason: None }
        }),
        1 => (operation_id(), delta).prop_map(move |(operation_id, available)| {
            C::SetStock { product_id, operation_id, available, reason: None }
        }),
        3 => (order_id(), quantity())
            .prop_map(move |(order_id, quantity)| C::ReserveStock { product_id, order_id, quantity }),
        1 => order_id().prop_map(move |order_id| C::ReleaseStock { product_id, order_id }),
        2 => order_id().prop_map(move |order_id| C::SellStock { product_id, order_id }),
        1 => (order_id(), operation_id(), quantity()).prop_map(move |(order_id, operation_id, quantity)| {
            C::ReturnStock { product_id, order_id, operation_id, quantity }
        }),
        1 => (0_u32..25).prop_map(move |threshold| C::SetLowStockThreshold { product_id, threshold }),
    ]
}

pub(super) fn discount_rules() -> impl Strategy<Value = DiscountRules> {
    let value = prop_oneof![
        (1_u32..=10_000).prop_map(percent),
        (-1_i64..3000).prop_map(off),
    ];
    let window = || option::of((0_i64..9).prop_map(at));
    let most = || (0_u32..4).prop_map(NonZeroU32::new);
    (value, -1_i64..100, window(), window(), most(), most()).prop_map(
        |(rules, minimum, starts_at, ends_at, max_uses, max_uses_per_customer)| DiscountRules {
            minimum,
            starts_at,
            ends_at,
            max_uses,
            max_uses_per_customer,
            ..rules
        },
    )
}

/// All but the counting of uses, which is asked for once for each.
pub(super) fn discount_command() -> impl Strategy<Value = DiscountCommand> {
    prop_oneof![
        2 => (discount_rules(), any::<bool>()).prop_map(|(rules, coded)| {
            DiscountCommand::CreateDiscount(CreateDiscount {
                discount_id: DISCOUNT,
                region_id: REGION,
                currency: currency("USD"),
                shop_id: None,
                code: coded.then(|| DiscountCode::parse("TET").unwrap()),
                rules,
            })
        }),
        4 => discount_rules().prop_map(|rules| DiscountCommand::ChangeDiscount { rules }),
        1 => Just(DiscountCommand::DeleteDiscount),
    ]
}

fn few_orders() -> impl Strategy<Value = OrderId> {
    (0_u128..5).prop_map(|number| OrderId(Uuid::from_u128(number)))
}

/// Whether an order is to use a discount from now on, or no more.
pub(super) fn use_of_discount() -> impl Strategy<Value = (OrderId, bool)> {
    (few_orders(), prop::bool::weighted(0.6))
}

pub(super) fn redemptions_command() -> impl Strategy<Value = RedemptionsCommand> {
    use_of_discount().prop_map(|(order_id, begin)| {
        if begin {
            RedemptionsCommand::Redeem {
                discount_id: DISCOUNT,
                customer_id: CUSTOMER,
                order_id,
                limit: NonZeroU32::new(3),
            }
        } else {
            RedemptionsCommand::ReturnRedemption { order_id }
        }
    })
}

pub(super) fn automatic_discounts_command() -> impl Strategy<Value = AutomaticDiscountsCommand> {
    let discount = || (0_u128..5).prop_map(|number| DiscountId(Uuid::from_u128(number)));
    prop_oneof![
        3 => (discount(), option::of((0_i64..9).prop_map(at)), (0_i64..9).prop_map(at)).prop_map(
            |(discount_id, ends_at, now)| AutomaticDiscountsCommand::ListDiscount {
                discount_id,
                ends_at,
                now,
            }
        ),
        1 => discount().prop_map(|discount_id| AutomaticDiscountsCommand::UnlistDiscount { discount_id }),
    ]
}

pub(super) fn cart_command() -> impl Strategy<Value = CartCommand> {
    let product = || (0_u128..4).prop_map(|number| ProductId(Uuid::from_u128(number)));
    let code = select(vec!["TET", "tet", "XMAS"]).prop_map(|code| CartCode {
        code: DiscountCode::parse(code).unwrap(),
        discount_id: DISCOUNT,
    });
    let (customer_id, region_id) = (CUSTOMER, REGION);
    prop_oneof![
        6 => (product(), 1_u64..4, 0_i64..3).prop_map(move |(product_id, quantity, unit_price)| {
            let item = CartItem { product_id, quantity: pieces(quantity), unit_price };
            CartCommand::PutItem { customer_id, region_id, item }
        }),
        2 => product().prop_map(|product_id| CartCommand::RemoveItem { product_id }),
        1 => vec(code, 0..3).prop_map(move |codes| CartCommand::SetCodes { customer_id, region_id, codes }),
        1 => Just(CartCommand::ClearCart),
        1 => few_orders().prop_map(|order_id| CartCommand::CheckOut { order_id }),
    ]
}

/// Some pieces of few products.
fn items() -> impl Strategy<Value = Vec<PricedItem>> {
    let item = |product: u128, quantity, cents| PricedItem {
        product_id: ProductId(Uuid::from_u128(product)),
        region_id: REGION,
        shop_id: product.is_multiple_of(2).then_some(SHOP),
        category_id: None,
        sku: sku("TEE-1"),
        title: title("Tee"),
        quantity: pieces(quantity),
        unit_price: usd(cents),
    };
    vec(
        (0_u128..3, 1_u64..4, Just(999_i64)).prop_map(move |(p, q, c)| item(p, q, c)),
        1..4,
    )
}

fn contact_change() -> impl Strategy<Value = ContactChange> {
    let sealed = || option::of(select(vec![Sealed::new("name"), Sealed::new("another")]));
    (sealed(), sealed()).prop_map(|(customer_name, shipping_address)| ContactChange {
        customer_name,
        shipping_address,
    })
}

fn place_order() -> impl Strategy<Value = OrderCommand> {
    (items(), offers(), any::<bool>()).prop_map(|(items, offers, prices_include_tax)| {
        OrderCommand::PlaceOrder(PlaceOrder {
            order_id: ORDER,
            number: OrderNumber(100_001),
            customer_id: CUSTOMER,
            customer_name: Sealed::new("name"),
            shipping_address: Sealed::new("address"),
            terms: RegionTerms {
                region_id: REGION,
                currency: currency("USD"),
                tax_rate: rate(825),
                prices_include_tax,
            },
            payment_method: PaymentMethod::parse("pm_card_visa").unwrap(),
            items,
            offers,
            payment_delay_ms: 60_000,
            payment_window_ms: 1_800_000,
        })
    })
}

/// Discounts of few ids: shares and amounts off everything, off a shop's, or off one product.
fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let value = prop_oneof![
        (1_u32..=10_000).prop_map(|points| percent(points).value),
        (1_i64..3000).prop_map(|amount| off(amount).value),
    ];
    let scope = option::of((0_u128..3).prop_map(|number| ProductId(Uuid::from_u128(number))));
    let offer = (0_u128..3, value, 0_i64..3000, any::<bool>(), scope);
    let offer = offer.prop_map(|(number, value, minimum, of_shop, product)| Offer {
        discount_id: DiscountId(Uuid::from_u128(number)),
        title: title("Tết"),
        code: None,
        shop_id: of_shop.then_some(SHOP),
        value,
        minimum,
        scope: DiscountScope {
            product_ids: product.into_iter().collect(),
            ..DiscountScope::default()
        },
    });
    vec(offer, 0..3)
}

/// Commands for an order that was placed; `ConfirmPayment` mostly with what is due, and what is bought may become
/// `others`, of another total.
fn order_command(
    total: i64,
    (others, offers): (Vec<PricedItem>, Vec<Offer>),
    total_of_others: i64,
) -> impl Strategy<Value = OrderCommand> {
    use OrderCommand as C;
    let payment_id =
        || prop_oneof![9 => Just(PaymentId::of(ORDER)), 1 => Just(PaymentId::of(OTHER_ORDER))];
    let due = prop_oneof![
        5 => Just(usd(total)),
        2 => Just(usd(total_of_others)),
        1 => Just(usd(total - 1)),
    ];
    let back = prop_oneof![4 => (0..=total / 2).prop_map(usd), 1 => Just(usd(total))];
    let shipment_id = (0_u128..6).prop_map(|number| ShipmentId(Uuid::from_u128(number)));
    let refund_id = (0_u128..6).prop_map(|number| RefundId(Uuid::from_u128(number)));
    let line = (1_u32..4, 1_u64..3).prop_map(|(line, quantity)| ShipLine {
        line,
        quantity: pieces(quantity),
    });
    prop_oneof![
        6 => (payment_id(), 1_u32..4).prop_map(|(payment_id, attempt)| C::StartPayment { payment_id, attempt }),
        2 => (payment_id(), due).prop_map(|(payment_id, amount)| C::ConfirmPayment { payment_id, amount }),
        5 => (payment_id(), 1_u32..4, prop::bool::weighted(0.2)).prop_map(|(payment_id, attempt, last)| {
            C::DeclinePayment { payment_id, attempt, reason: reason("declined"), last }
        }),
        1 => Just(C::GiveUpPayment { reason: reason("late") }),
        1 => Just(C::CancelOrder { reason: reason("no longer"), requested_by: None }),
        2 => contact_change().prop_map(C::ChangeContact),
        2 => Just(C::ChangeItems { items: others, offers }),
        1 => Just(C::HideOrder { reason: reason("deleted"), requested_by: None }),
        6 => (shipment_id, vec(line, 0..3)).prop_map(|(shipment_id, lines)| C::ShipItems { shipment_id, lines }),
        2 => Just(C::DeliverOrder),
        1 => (refund_id, back).prop_map(|(refund_id, amount)| C::RecordRefund { refund_id, amount }),
    ]
}

/// An order and what is asked of it, now and then with another attempt to place it.
pub(super) fn order_commands() -> impl Strategy<Value = Vec<OrderCommand>> {
    (place_order(), (items(), offers())).prop_flat_map(|(place, others)| {
        let mut order = Order::default();
        let placed = order.decide(place.clone()).unwrap();
        let [OrderEvent::OrderPlaced { total, .. }] = placed[..] else {
            panic!("placed")
        };
        order.evolve(&placed[0]);
        let (items, offers) = others.clone();
        let changed = order
            .decide(OrderCommand::ChangeItems { items, offers })
            .unwrap();
        let total_of_others = match changed[..] {
            [OrderEvent::OrderItemsChanged { total, .. }] => total,
            _ => total,
        };
        let command = prop_oneof![
            20 => order_command(total, others, total_of_others),
            1 => place_order(),
        ];
        vec(command, 0..LONGEST_HISTORY).prop_map(move |rest| [vec![place.clone()], rest].concat())
    })
}

fn start_payment(attempt: u32) -> PaymentCommand {
    PaymentCommand::StartPayment(StartPayment {
        payment_id: PaymentId::of(ORDER),
        order_id: ORDER,
        customer_id: CUSTOMER,
        amount: usd(1000),
        method: PaymentMethod::parse("pm_card_visa").unwrap(),
        attempt,
        deadline_ms: 1_800_000,
    })
}

/// A payment and what is said of it.
pub(super) fn payment_commands() -> impl Strategy<Value = Vec<PaymentCommand>> {
    many(payment_command()).prop_map(|rest| [vec![start_payment(1)], rest].concat())
}

fn payment_command() -> impl Strategy<Value = PaymentCommand> {
    use PaymentCommand as C;
    let reference =
        || (0..4).prop_map(|number| Reference::parse(&format!("ref_{number}")).unwrap());
    let refund_id = || (0_u128..4).prop_map(|number| RefundId(Uuid::from_u128(number)));
    let due = prop_oneof![5 => Just(usd(1000)), 1 => Just(usd(999))];
    prop_oneof![
        8 => (1_u32..4).prop_map(start_payment),
        2 => (1_u32..4, reference(), due)
            .prop_map(|(attempt, reference, amount)| C::RecordCapture { attempt, reference, amount }),
        6 => (1_u32..4, option::of(reference())).prop_map(|(attempt, reference)| {
            C::RecordDecline { attempt, reference, reason: reason("declined") }
        }),
        1 => Just(C::RequestVoid { reason: reason("no answer") }),
        1 => option::of(reference()).prop_map(|reference| C::RecordVoid { reference }),
        1 => (1_u32..9).prop_map(|asked| C::ReportStuck { asked, reason: reason("timeout") }),
        1 => Just(C::ExpirePayment),
        4 => (refund_id(), -1_i64..=1000).prop_map(|(refund_id, cents)| {
            C::RequestRefund { refund_id, amount: usd(cents), reason: reason("cancelled") }
        }),
        4 => (refund_id(), reference()).prop_map(|(refund_id, reference)| C::RecordRefund { refund_id, reference }),
        1 => refund_id().prop_map(|refund_id| C::RecordRefundFailure { refund_id, reason: reason("later") }),
    ]
}
