//! Keys of people: made once, wrapped, gone for good when a person is erased.

use eventstore::{
    sealing::{MasterKey, SealError, Vault},
    testing::TestDatabase,
};
use futures::future::join_all;
use sqlx::PgPool;
use uuid::Uuid;

fn master() -> MasterKey {
    MasterKey::from_base64(&MasterKey::generate_base64().unwrap()).unwrap()
}

#[tokio::test]
async fn processes_that_first_seal_for_a_person_at_once_share_one_key() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let (master, person) = (master(), Uuid::new_v4());
    let sealing = (0..10).map(|_| {
        let vault = Vault::new(pool.clone(), master.clone());
        async move {
            let key = vault.key_for(person).await.unwrap();
            key.seal("order/1", "customer_name", "Ana").unwrap()
        }
    });
    let sealed = join_all(sealing).await;
    let reader = Vault::new(pool.clone(), master);
    reader.prepare(&sealed).await.unwrap();
    for text in &sealed {
        let opened = reader.open(text, "order/1", "customer_name").await.unwrap();
        assert_eq!(opened.as_deref(), Some("Ana"));
    }
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn an_erased_person_gets_no_new_key_and_what_was_sealed_stays_shut() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let (master, person) = (master(), Uuid::new_v4());
    let vault = Vault::new(pool.clone(), master.clone());
    let key = vault.key_for(person).await.unwrap();
    let sealed = key.seal("order/1", "customer_name", "Ana").unwrap();
    sqlx::query("insert into erased_people (person_id) values ($1)")
        .bind(person)
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("delete from person_keys")
        .execute(&pool)
        .await
        .unwrap();

    let later = Vault::new(pool.clone(), master);
    assert!(matches!(
        later.key_for(person).await,
        Err(SealError::Erased)
    ));
    let opened = later.open(&sealed, "order/1", "customer_name").await;
    assert_eq!(opened.unwrap(), None);
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_key_that_another_master_key_wrapped_is_named_not_guessed() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let person = Uuid::new_v4();
    Vault::new(pool.clone(), master())
        .key_for(person)
        .await
        .unwrap();
    let other = Vault::new(pool.clone(), master()).key_for(person).await;
    assert!(matches!(other, Err(SealError::OtherMasterKey(_))));
    pool.close().await;
    db.drop_database().await;
}
