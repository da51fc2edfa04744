//! Commands on categories. A title is a claim, given up when the category is deleted or renamed: of two that want it, one
//! gets it.

use domain::{
    category::{Category, CategoryCommand, CategoryDetails, CategoryError},
    ids::CategoryId,
    text::Title,
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    failure::{Failure, refuse},
    request::{Commands, Request, Versioned, check_version},
};

/// Scope of the claim that makes a title unique among categories.
pub const CATEGORY_TITLE_SCOPE: &str = "category-title";

/// Titles that differ in case alone are one.
fn claimed(title: &Title) -> String {
    title.as_str().to_lowercase()
}

impl Commands {
    /// Makes a category; made again with the same title, it is the same.
    pub async fn create_category(
        &self,
        request: Request,
        id: CategoryId,
        title: Title,
    ) -> Result<Committed<Versioned<CategoryDetails>>, Failure> {
        let streams = vec![StreamRef::fresh::<Category>(id)];
        self.commit(request, streams, move |work| {
            let command = CategoryCommand::CreateCategory {
                category_id: id,
                title: title.clone(),
            };
            if work.execute::<Category>(id, command)? > 0 {
                work.claim(CATEGORY_TITLE_SCOPE, claimed(&title), id);
            }
            category_now(work, id)
        })
        .await
    }

    /// Calls it by another name.
    pub async fn rename_category(
        &self,
        request: Request,
        id: CategoryId,
        title: Title,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<CategoryDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Category>(id)], move |work| {
            let before = work.state::<Category>(id)?.shown().map_err(refuse)?;
            let (before, after) = (claimed(&before.title), claimed(&title));
            check_version::<Category>(work, id, expected)?;
            let title = title.clone();
            work.execute::<Category>(id, CategoryCommand::RenameCategory { title })?;
            if before != after {
                work.release(CATEGORY_TITLE_SCOPE, before);
                work.claim(CATEGORY_TITLE_SCOPE, after, id);
            }
            category_now(work, id)
        })
        .await
    }

    /// Shows it no more. Its title is free again; products that are in it stay as they are.
    pub async fn delete_category(
        &self,
        request: Request,
        id: CategoryId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<CategoryDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Category>(id)], move |work| {
            let category = category_now(work, id)?;
            if category.state.deleted {
                return Ok(category);
            }
            check_version::<Category>(work, id, expected)?;
            work.execute::<Category>(id, CategoryCommand::DeleteCategory)?;
            work.release(CATEGORY_TITLE_SCOPE, claimed(&category.state.title));
            category_now(work, id)
        })
        .await
    }
}

fn category_now(
    work: &mut Work<'_, Failure>,
    id: CategoryId,
) -> Result<Versioned<CategoryDetails>, Halt<Failure>> {
    let state = work
        .state::<Category>(id)?
        .details()
        .cloned()
        .ok_or_else(|| refuse(CategoryError::NotFound))?;
    Ok(Versioned {
        state,
        sequence: work.sequence::<Category>(id)?,
    })
}
