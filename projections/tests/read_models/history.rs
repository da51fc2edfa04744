//! A history in which everything happens that a view shows: what is rebuilt must be what was followed.

use domain::{
    cart::{Cart, CartCode, CartCommand, CartItem},
    category::{Category, CategoryCommand},
    discount::{CreateDiscount, Discount, DiscountCommand, DiscountRules},
    ids::{
        CartId, CategoryId, DiscountId, OrderId, PaymentId, ProductId, RefundId, RegionId,
        ShipmentId, ShopId, UserId,
    },
    inventory::{Inventory, InventoryCommand},
    order::{ContactChange, Order, OrderCommand, ShipLine},
    payment::{Payment, PaymentCommand, StartPayment},
    product::{Change, Product, ProductChanges, ProductCommand},
    region::{Region, RegionCommand},
    sealed::Sealed,
    shop::ShopCommand,
    text::{DiscountCode, PaymentMethod, Reason, Reference, Title},
};
use uuid::Uuid;

use crate::shop::{Shop, clothing, customer, quantity, tenth_off, usd};

/// What an order of one piece costs, tax included.
const TOTAL: i64 = 1_100;

fn reason() -> Reason {
    Reason::parse("changed my mind").unwrap()
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// What happens to an order after it was placed.
#[derive(Clone, Copy, Debug)]
enum Course {
    Nothing,
    Shipped,
    PartlyShipped,
    PaidAtLast,
    Unpaid,
    Cancelled,
    CancelledWhilePaying,
    Refunded,
    RefundedInPart,
    Changed,
    Deleted,
}

const COURSES: [Course; 11] = [
    Course::Nothing,
    Course::Shipped,
    Course::PartlyShipped,
    Course::PaidAtLast,
    Course::Unpaid,
    Course::Cancelled,
    Course::CancelledWhilePaying,
    Course::Refunded,
    Course::RefundedInPart,
    Course::Changed,
    Course::Deleted,
];

/// Two markets, categories, shops, four products with stock (one of them without any, one deleted, one changed), discounts,
/// carts, and so many orders: all are placed before the first of them goes on, and then they go on in turns.
pub(crate) async fn write(shop: &Shop, orders: usize) {
    let region_id = shop.region("United States", "USD").await;
    let other = shop.region("Elsewhere", "USD").await;
    sellers(shop).await;
    let products = products(shop, region_id, other).await;
    let discounts = discounts(shop, region_id).await;
    let carts = fill_carts(shop, region_id, products).await;
    let mut placed = vec![];
    for n in 0..orders {
        let (product_id, course) = (products[n % 2], COURSES[n % COURSES.len()]);
        let offers = match course {
            Course::Nothing | Course::Changed | Course::Cancelled => vec![tenth_off(1)],
            _ => vec![],
        };
        let order_id = shop
            .order_with(customer(), region_id, &[(product_id, 1)], offers)
            .await;
        reserve(shop, product_id, order_id).await;
        placed.push((order_id, product_id, course));
    }
    for (order_id, product_id, course) in &placed {
        begin(shop, *order_id, *product_id, *course).await;
        if matches!(course, Course::Changed) {
            change(shop, *order_id, products).await;
        }
    }
    for (order_id, product_id, course) in &placed {
        end(shop, *order_id, *product_id, *course).await;
    }
    change_discounts(shop, discounts).await;
    empty_carts(shop, carts, products).await;
    for command in [RegionCommand::DisableRegion, RegionCommand::DeleteRegion] {
        shop.command::<Region>(other, command).await;
    }
}

fn rules(title: &str) -> DiscountRules {
    DiscountRules {
        title: Title::parse(title).unwrap(),
        value: tenth_off(1).value,
        scope: tenth_off(1).scope,
        minimum: 0,
        starts_at: None,
        ends_at: None,
        max_uses: None,
        max_uses_per_customer: None,
    }
}

/// One with a code, one of a shop, one that is given by itself.
async fn discounts(shop: &Shop, region_id: RegionId) -> [DiscountId; 3] {
    let made = [
        ("Coded", Some("CODED"), None),
        ("Of a shop", None, Some(ShopId(Uuid::now_v7()))),
        ("Given", None, None),
    ];
    let mut ids = [DiscountId(Uuid::nil()); 3];
    for (id, (title, code, shop_id)) in ids.iter_mut().zip(made) {
        *id = DiscountId(Uuid::now_v7());
        let create = DiscountCommand::CreateDiscount(CreateDiscount {
            discount_id: *id,
            region_id,
            currency: usd(0).currency,
            shop_id,
            code: code.map(|code| DiscountCode::parse(code).unwrap()),
            rules: rules(title),
        });
        shop.command::<Discount>(*id, create).await;
    }
    ids
}

async fn change_discounts(shop: &Shop, [coded, of_shop, given]: [DiscountId; 3]) {
    let [first, second] = [1, 2].map(|n| OrderId(Uuid::from_u128(n)));
    let commands = [
        (coded, DiscountCommand::CountUse { order_id: first }),
        (coded, DiscountCommand::CountUse { order_id: second }),
        (
            given,
            DiscountCommand::ChangeDiscount {
                rules: rules("Given to all"),
            },
        ),
        (coded, DiscountCommand::ReturnUse { order_id: first }),
        (of_shop, DiscountCommand::DeleteDiscount),
        (given, DiscountCommand::CountUse { order_id: first }),
    ];
    for (id, command) in commands {
        shop.command::<Discount>(id, command).await;
    }
}

fn put(customer_id: UserId, region_id: RegionId, product_id: ProductId, n: u64) -> CartCommand {
    CartCommand::PutItem {
        customer_id,
        region_id,
        item: CartItem {
            product_id,
            quantity: quantity(n),
            unit_price: 1_000,
        },
    }
}

/// Four carts with both products in them.
async fn fill_carts(shop: &Shop, region_id: RegionId, products: [ProductId; 2]) -> [CartId; 4] {
    let mut carts = [CartId(Uuid::nil()); 4];
    for cart in &mut carts {
        let customer_id = customer();
        *cart = CartId::of(customer_id, region_id);
        for (product_id, n) in [(products[0], 1), (products[1], 2), (products[0], 3)] {
            let put = put(customer_id, region_id, product_id, n);
            shop.command::<Cart>(*cart, put).await;
        }
        let codes = CartCommand::SetCodes {
            customer_id,
            region_id,
            codes: vec![CartCode {
                code: DiscountCode::parse("CODED").unwrap(),
                discount_id: DiscountId(Uuid::from_u128(1)),
            }],
        };
        shop.command::<Cart>(*cart, codes).await;
    }
    carts
}

/// The first cart stays as it is, of the second something is taken out, and the others are emptied.
async fn empty_carts(shop: &Shop, carts: [CartId; 4], products: [ProductId; 2]) {
    let remove = CartCommand::RemoveItem {
        product_id: products[0],
    };
    let order_id = OrderId(Uuid::now_v7());
    let commands = [
        remove,
        CartCommand::ClearCart,
        CartCommand::CheckOut { order_id },
    ];
    for (cart, command) in carts.into_iter().skip(1).zip(commands) {
        shop.command::<Cart>(cart, command).await;
    }
}

async fn sellers(shop: &Shop) {
    for title in ["Hats", "Coats", "Shirts"] {
        let category = shop.category(title).await;
        let rename = CategoryCommand::RenameCategory {
            title: Title::parse(&format!("{title}!")).unwrap(),
        };
        shop.command::<Category>(category, rename).await;
        if title == "Coats" {
            shop.command::<Category>(category, CategoryCommand::DeleteCategory)
                .await;
        }
        let seller = shop.wanted_shop(customer(), title).await;
        for command in [ShopCommand::ApproveShop, ShopCommand::CloseShop] {
            let left = title == "Hats" || title == "Coats" && command == ShopCommand::CloseShop;
            if !left {
                shop.command::<domain::shop::Shop>(seller, command).await;
            }
        }
    }
}

async fn products(shop: &Shop, region_id: RegionId, other: RegionId) -> [ProductId; 2] {
    let first = shop.product(region_id, "A", usd(1_000)).await;
    let seller = Some(ShopId(Uuid::now_v7()));
    let second = shop.product_of(seller, region_id, "B", usd(1_000)).await;
    let deleted = shop.product(other, "C", usd(7)).await;
    shop.product(other, "without-stock", usd(8)).await;
    let specified = ProductCommand::UpdateProduct(ProductChanges {
        category_id: Change::Set(CategoryId(Uuid::now_v7())),
        specification: Change::Set(clothing("M", "đỏ")),
        ..ProductChanges::default()
    });
    shop.command::<Product>(second, specified).await;
    shop.receive(first, 100).await;
    shop.receive(second, 3).await;
    shop.receive(deleted, 3).await;
    shop.adjust(deleted, -1).await;
    shop.command::<Product>(deleted, ProductCommand::DeleteProduct)
        .await;
    [first, second]
}

async fn reserve(shop: &Shop, product_id: ProductId, order_id: OrderId) {
    let reserve = InventoryCommand::ReserveStock {
        product_id,
        order_id,
        quantity: quantity(1),
    };
    // the second product is sold out soon
    shop.receive(product_id, 1).await;
    shop.command::<Inventory>(product_id, reserve).await;
}

async fn start(shop: &Shop, order_id: OrderId, attempt: u32) {
    let payment_id = PaymentId::of(order_id);
    let start = StartPayment {
        payment_id,
        order_id,
        customer_id: UserId(order_id.0),
        amount: usd(TOTAL),
        method: PaymentMethod::parse("test_succeeds").unwrap(),
        attempt,
        deadline_ms: 60_000,
    };
    shop.command::<Payment>(payment_id, PaymentCommand::StartPayment(start))
        .await;
    let start = OrderCommand::StartPayment {
        payment_id,
        attempt,
    };
    shop.command::<Order>(order_id, start).await;
}

async fn decline(shop: &Shop, order_id: OrderId, attempt: u32, last: bool) {
    let payment_id = PaymentId::of(order_id);
    let declined = PaymentCommand::RecordDecline {
        attempt,
        reference: Some(reference("ch_declined")),
        reason: reason(),
    };
    shop.command::<Payment>(payment_id, declined).await;
    let declined = OrderCommand::DeclinePayment {
        payment_id,
        attempt,
        reason: reason(),
        last,
    };
    shop.command::<Order>(order_id, declined).await;
}

async fn pay(shop: &Shop, order_id: OrderId, product_id: ProductId, attempt: u32) {
    let payment_id = PaymentId::of(order_id);
    let captured = PaymentCommand::RecordCapture {
        attempt,
        reference: reference("ch_1"),
        amount: usd(TOTAL),
    };
    shop.command::<Payment>(payment_id, captured).await;
    let paid = OrderCommand::ConfirmPayment {
        payment_id,
        amount: usd(TOTAL),
    };
    shop.command::<Order>(order_id, paid).await;
    let sell = InventoryCommand::SellStock {
        product_id,
        order_id,
    };
    shop.command::<Inventory>(product_id, sell).await;
}

async fn cancel(shop: &Shop, order_id: OrderId) {
    let cancel = OrderCommand::CancelOrder {
        reason: reason(),
        requested_by: None,
    };
    shop.command::<Order>(order_id, cancel).await;
}

async fn release(shop: &Shop, order_id: OrderId, product_id: ProductId) {
    let release = InventoryCommand::ReleaseStock {
        product_id,
        order_id,
    };
    shop.command::<Inventory>(product_id, release).await;
}

async fn ship(shop: &Shop, order_id: OrderId) {
    let hand_over = OrderCommand::ShipItems {
        shipment_id: ShipmentId(Uuid::now_v7()),
        lines: vec![ShipLine {
            line: 1,
            quantity: quantity(1),
        }],
    };
    shop.command::<Order>(order_id, hand_over).await;
}

async fn refund(shop: &Shop, order_id: OrderId, cents: i64, fails_first: bool) {
    let payment_id = PaymentId::of(order_id);
    let refund_id = RefundId::of(order_id, "return");
    let amount = usd(cents);
    let request = PaymentCommand::RequestRefund {
        refund_id,
        amount,
        reason: reason(),
    };
    shop.command::<Payment>(payment_id, request).await;
    if fails_first {
        let failed = PaymentCommand::RecordRefundFailure {
            refund_id,
            reason: reason(),
        };
        shop.command::<Payment>(payment_id, failed).await;
    }
    let done = PaymentCommand::RecordRefund {
        refund_id,
        reference: reference("re_1"),
    };
    shop.command::<Payment>(payment_id, done).await;
    shop.command::<Order>(order_id, OrderCommand::RecordRefund { refund_id, amount })
        .await;
}

/// More is bought, of both products, by somebody of another name.
async fn change(shop: &Shop, order_id: OrderId, products: [ProductId; 2]) {
    let items = shop.priced(&[(products[1], 2), (products[0], 3)]).await;
    let offers = vec![tenth_off(2)];
    shop.command::<Order>(order_id, OrderCommand::ChangeItems { items, offers })
        .await;
    let name = OrderCommand::ChangeContact(ContactChange {
        customer_name: Some(Sealed::new("another sealed name")),
        shipping_address: None,
    });
    shop.command::<Order>(order_id, name).await;
}

async fn begin(shop: &Shop, order_id: OrderId, product_id: ProductId, course: Course) {
    match course {
        Course::Nothing | Course::Changed => {}
        Course::Cancelled => {
            cancel(shop, order_id).await;
            release(shop, order_id, product_id).await;
        }
        Course::Deleted => {
            let hide = OrderCommand::HideOrder {
                reason: reason(),
                requested_by: None,
            };
            shop.command::<Order>(order_id, hide).await;
            release(shop, order_id, product_id).await;
        }
        Course::PaidAtLast | Course::Unpaid => {
            start(shop, order_id, 1).await;
            decline(shop, order_id, 1, false).await;
        }
        Course::CancelledWhilePaying => {
            start(shop, order_id, 1).await;
            cancel(shop, order_id).await;
        }
        _ => start(shop, order_id, 1).await,
    }
}

async fn end(shop: &Shop, order_id: OrderId, product_id: ProductId, course: Course) {
    match course {
        Course::Nothing | Course::Cancelled | Course::Deleted => {}
        Course::Changed => {
            let address = OrderCommand::ChangeContact(ContactChange {
                customer_name: None,
                shipping_address: Some(Sealed::new("another sealed address")),
            });
            shop.command::<Order>(order_id, address).await;
        }
        Course::Shipped => {
            pay(shop, order_id, product_id, 1).await;
            ship(shop, order_id).await;
            shop.command::<Order>(order_id, OrderCommand::DeliverOrder)
                .await;
        }
        Course::PartlyShipped => {
            pay(shop, order_id, product_id, 1).await;
            ship(shop, order_id).await;
        }
        Course::PaidAtLast => {
            start(shop, order_id, 2).await;
            pay(shop, order_id, product_id, 2).await;
        }
        Course::Unpaid => {
            start(shop, order_id, 2).await;
            decline(shop, order_id, 2, true).await;
            release(shop, order_id, product_id).await;
        }
        Course::CancelledWhilePaying => {
            let payment_id = PaymentId::of(order_id);
            let void = PaymentCommand::RequestVoid { reason: reason() };
            shop.command::<Payment>(payment_id, void).await;
            let voided = PaymentCommand::RecordVoid {
                reference: Some(reference("void_1")),
            };
            shop.command::<Payment>(payment_id, voided).await;
            let over = OrderCommand::GiveUpPayment { reason: reason() };
            shop.command::<Order>(order_id, over).await;
            release(shop, order_id, product_id).await;
        }
        Course::Refunded => {
            pay(shop, order_id, product_id, 1).await;
            cancel(shop, order_id).await;
            refund(shop, order_id, TOTAL, true).await;
        }
        Course::RefundedInPart => {
            pay(shop, order_id, product_id, 1).await;
            ship(shop, order_id).await;
            refund(shop, order_id, 100, false).await;
        }
    }
}
