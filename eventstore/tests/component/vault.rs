//! Keys of people: made once, wrapped, gone for good when a person is erased.

use domain::sealed::Sealed;
use eventstore::{
    sealing::{KEY_CACHE_TTL, MasterKey, MasterKeys, Rewrapped, SealError, Vault, erase},
    testing::{TestDatabase, eventually},
};
use futures::future::join_all;
use sqlx::PgPool;
use uuid::Uuid;

fn master() -> MasterKey {
    MasterKey::from_base64(&MasterKey::generate_base64().unwrap()).unwrap()
}

async fn seal_for(vault: &Vault, person: Uuid) -> Sealed {
    let key = vault.key_for(person).await.unwrap();
    key.seal("order/1", "customer_name", "Ana").unwrap()
}

async fn opened(vault: &Vault, sealed: &Sealed) -> Option<String> {
    vault
        .open(sealed, "order/1", "customer_name")
        .await
        .unwrap()
}

async fn assert_all_open(vault: &Vault, sealed: &[Sealed]) {
    vault.prepare(sealed).await.unwrap();
    for text in sealed {
        assert_eq!(opened(vault, text).await.as_deref(), Some("Ana"));
    }
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {table}"))
        .fetch_one(pool)
        .await
        .unwrap()
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
    let sealed = seal_for(&vault, person).await;
    assert_eq!(opened(&vault, &sealed).await.as_deref(), Some("Ana"));

    vault.erase(person).await.unwrap();
    vault.erase(person).await.unwrap();
    // here at once, in a process that never had the key, and for whoever seals late
    for vault in [&vault, &Vault::new(pool.clone(), master)] {
        assert_eq!(opened(vault, &sealed).await, None);
        vault.prepare([&sealed]).await.unwrap();
        assert_eq!(opened(vault, &sealed).await, None);
        let late = vault.key_for(person).await;
        assert!(matches!(late, Err(SealError::Erased)));
    }
    assert_eq!(count(&pool, "person_keys").await, 0);
    assert_eq!(count(&pool, "erased_people").await, 1);
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_process_that_has_the_key_at_hand_stops_opening_soon_after_the_erasure() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let person = Uuid::new_v4();
    let vault = Vault::new(pool.clone(), master());
    let sealed = seal_for(&vault, person).await;
    erase(&pool, person).await.unwrap();
    eventually("nothing opens any more", KEY_CACHE_TTL * 2, || async {
        opened(&vault, &sealed).await.is_none().then_some(())
    })
    .await;
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn however_keys_are_made_and_erased_at_once_none_is_left() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let master = master();
    for _ in 0..20 {
        let person = Uuid::new_v4();
        let making = (0..4).map(|_| {
            let vault = Vault::new(pool.clone(), master.clone());
            async move { vault.key_for(person).await.map(|_| ()) }
        });
        let erasing = erase(&pool, person);
        let (made, erased) = tokio::join!(join_all(making), erasing);
        erased.unwrap();
        for outcome in made {
            assert!(
                matches!(outcome, Ok(()) | Err(SealError::Erased)),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(count(&pool, "person_keys").await, 0);
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn keys_are_made_for_many_at_once_and_for_nobody_who_was_erased() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let (master, people) = (master(), [(); 6].map(|()| Uuid::new_v4()));
    let vault = Vault::new(pool.clone(), master.clone());
    let before = seal_for(&vault, people[0]).await;
    vault.erase(people[1]).await.unwrap();
    // two processes at once, in other orders, one of them naming somebody twice
    let (forth, back) = (
        people.iter().chain([&people[2]]).copied(),
        people.iter().rev().copied(),
    );
    let other = Vault::new(pool.clone(), master);
    let (one, two) = tokio::join!(vault.make_keys(forth), other.make_keys(back));
    one.unwrap();
    two.unwrap();
    assert_eq!(count(&pool, "person_keys").await, 5);
    assert_eq!(opened(&vault, &before).await.as_deref(), Some("Ana"));
    for person in &people[2..] {
        let sealed = seal_for(&vault, *person).await;
        assert_eq!(opened(&other, &sealed).await.as_deref(), Some("Ana"));
    }
    for vault in [&vault, &other] {
        let late = vault.key_for(people[1]).await;
        assert!(matches!(late, Err(SealError::Erased)));
        vault.make_keys([]).await.unwrap();
    }
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_key_that_cannot_be_read_keeps_no_other_from_being_opened() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let (ours, theirs) = (master(), master());
    let vault = Vault::new(pool.clone(), ours.clone());
    let elsewhere = Vault::new(pool.clone(), theirs);
    let (open, other, damaged) = (
        seal_for(&vault, Uuid::new_v4()).await,
        seal_for(&elsewhere, Uuid::new_v4()).await,
        Uuid::new_v4(),
    );
    let spoilt = seal_for(&vault, damaged).await;
    sqlx::query("update person_keys set wrapped_key = '\\x00' where person_id = $1")
        .bind(damaged)
        .execute(&pool)
        .await
        .unwrap();
    // somebody who only reads has none of them at hand
    let reader = Vault::new(pool.clone(), ours);
    let no_text = Sealed::new("somebody");
    for _ in 0..2 {
        reader
            .prepare([&other, &no_text, &spoilt, &open])
            .await
            .unwrap();
        assert_eq!(opened(&reader, &open).await.as_deref(), Some("Ana"));
        for (sealed, why) in [(&other, "another master key"), (&spoilt, "does not open")] {
            let refused = reader.open(sealed, "order/1", "customer_name").await;
            let told = refused.unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_master_key_is_exchanged_while_processes_seal_and_open() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let (old, new) = (master(), master());
    let before = Vault::new(pool.clone(), old.clone());
    let mut sealed = Vec::new();
    for _ in 0..1_203 {
        sealed.push(seal_for(&before, Uuid::new_v4()).await);
    }

    // a process that still wraps with the old key and knows the new one, and two that wrap anew at once
    let running = Vault::new(
        pool.clone(),
        MasterKeys::new(old.clone(), vec![new.clone()]),
    );
    let both = MasterKeys::new(new.clone(), vec![old.clone()]);
    let (first, second) = (
        Vault::new(pool.clone(), both.clone()),
        Vault::new(pool.clone(), both.clone()),
    );
    let busy = async {
        let mut sealed = Vec::new();
        for _ in 0..50 {
            sealed.push(seal_for(&running, Uuid::new_v4()).await);
        }
        sealed
    };
    let (first, second, late) = tokio::join!(first.rewrap(), second.rewrap(), busy);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.keys + second.keys >= 1_203, "{first:?} {second:?}");
    sealed.extend(late);
    assert_all_open(&running, &sealed).await;

    // once nobody wraps with the old key any more it is needed no more
    let rewrapped = Vault::new(pool.clone(), both).rewrap().await.unwrap();
    assert!(rewrapped.left.is_empty(), "{rewrapped:?}");
    let after = Vault::new(pool.clone(), new.clone());
    assert_all_open(&after, &sealed).await;
    assert_eq!(
        after.rewrap().await.unwrap(),
        Rewrapped::default(),
        "done again, nothing happens"
    );
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn keys_that_no_known_master_key_opens_are_told_and_left() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let (unknown, old, new) = (master(), master(), master());
    for (master, people) in [(&unknown, 3), (&old, 2)] {
        let vault = Vault::new(pool.clone(), master.clone());
        for _ in 0..people {
            vault.key_for(Uuid::new_v4()).await.unwrap();
        }
    }
    let vault = Vault::new(pool.clone(), MasterKeys::new(new, vec![old]));
    let expected = Rewrapped {
        keys: 2,
        left: vec![(unknown.id().to_owned(), 3)],
    };
    assert_eq!(vault.rewrap().await.unwrap(), expected);
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
