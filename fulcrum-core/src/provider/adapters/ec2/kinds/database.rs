//! Databases (RDS): the group of subnets in which one stands, and the database in it.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    super::{
        client::{Cloud, mutation_of, query_of},
        endpoints::ApiName,
        offers::{database_class, is_highly_available},
        query_api::{Fields, fields, name_of},
        resources::Sort,
        subnets::{subnets, vpc_id},
        tags::{PASSWORD_TAG, tags_in},
    },
    check_sold, numbered,
};
use crate::{
    model::{IdempotencyKey, Offer, OfferKind, RegionId},
    provider::{
        Access, Call, ErrorKind, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Resource},
        },
        portable::{self, PasswordMaker},
    },
};

/// The position of the database among the parts.
const DATABASE_INDEX: usize = 1;
/// What `engine` may say.
pub(super) const ENGINE: &str = "postgresql";
/// What RDS calls that.
const RDS_ENGINE: &str = "postgres";
/// The first database, and the user that owns it.
const DATABASE: &str = "main";
const USER: &str = "fulcrum";

#[derive(Debug)]
pub(in super::super) struct Database;

#[async_trait]
impl Product<Cloud> for Database {
    fn kind(&self) -> OfferKind {
        OfferKind::Database
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::SubnetGroup, Sort::Database]
    }

    fn is_whole(&self, parts: &Parts) -> bool {
        parts.get(DATABASE_INDEX).is_some()
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        check_sold(cloud, request, call).await?;
        portable::check_version(&|name| request.setting(name)).map_err(|why| cloud.invalid_request(call, why))
    }

    async fn body(&self, cloud: &Cloud, at: usize, order: &Order, _: &Parts) -> Result<Option<Fields>> {
        match at {
            DATABASE_INDEX => database(cloud, order).map(Some),
            _ => subnet_group(cloud, order).await.map(Some),
        }
    }

    /// Databases of others in the same subnets, which would hold the group after this one has ended; and copies of this one.
    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(group) = parts.get(0) else { return Ok(Vec::new()) };
        let listed = query_of(ApiName::Rds, call, "DescribeDBInstances");
        let all = cloud.rows(ApiName::Rds, region, listed, "/DescribeDBInstancesResult/DBInstances").await?;
        let text = |row: &Value, at: &str| row.pointer(at).and_then(Value::as_str).map(str::to_owned);
        // The database is called as its group: a list may show it for a moment after it has ended.
        let is_own = |id: &String| parts.has(id) || *id == group.id;
        let is_in_group =
            |row: &&Value| text(row, "/DBSubnetGroup/DBSubnetGroupName").as_ref() == Some(&group.id);
        let others = all.iter().filter(is_in_group).filter_map(|row| text(row, "/DBInstanceIdentifier"));
        let others = others.filter(|id| !is_own(id));
        let others: Vec<_> = others.map(|id| format!("the database {id}")).collect();
        let is_copy = |row: &&Value| {
            text(row, "/ReadReplicaSourceDBInstanceIdentifier").is_some_and(|source| is_own(&source))
        };
        let copies = all.iter().filter(is_copy).filter_map(|row| text(row, "/DBInstanceIdentifier"));
        Ok(others.into_iter().chain(copies.map(|id| format!("the replica {id}"))).collect())
    }

    async fn access(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Access> {
        let call = Call::Access;
        let maker = cloud.passwords.as_ref().ok_or_else(|| {
            let why = "the password is made from `password_secret`, which the configuration does not name";
            cloud.invalid_request(call, why)
        })?;
        let (Some(database), Some(key)) = (parts.get(DATABASE_INDEX), parts.key()) else {
            return Err(
                cloud.error(call, ErrorKind::Conflict { message: "the database is not made yet".to_owned() })
            );
        };
        set_password(cloud, region, database, maker, key).await?;
        let told = self.attributes(cloud, region, parts);
        let access =
            told.into_iter().fold(Access::default(), |access, (name, value)| access.with(name, value));
        Ok(access.with("password", cloud.password_of(key)))
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let Some(database) = parts.get(DATABASE_INDEX) else { return BTreeMap::new() };
        let told = [
            ("host", "/Endpoint/Address"),
            ("port", "/Endpoint/Port"),
            ("database", "/DBName"),
            ("user", "/MasterUsername"),
        ];
        let told = told.into_iter().filter_map(|(name, at)| Some((name, database.text(at)?)));
        told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

async fn subnet_group(cloud: &Cloud, order: &Order) -> Result<Fields> {
    let call = Call::Provision;
    let network = order.service("network");
    let vpc = network.map(|service| vpc_id(cloud, &order.region, &service, call)).transpose()?;
    let subnets = subnets(cloud, &order.region, vpc.as_deref(), call).await?;
    if subnets.iter().all(|(zone, _)| Some(zone) == subnets.first().map(|(first, _)| first)) {
        let why = "a database needs subnets in two zones; give it a `network` that has them";
        return Err(cloud.invalid_request(call, why));
    }
    let group = fields([
        ("DBSubnetGroupDescription", "of a database".to_owned()),
        ("DBSubnetGroupName", name_of(&order.key)),
    ]);
    let subnets = numbered("SubnetIds.SubnetIdentifier", "", subnets.into_iter().map(|(_, id)| id));
    Ok(group.into_iter().chain(subnets).collect())
}

fn database(cloud: &Cloud, order: &Order) -> Result<Fields> {
    let call = Call::Provision;
    let is_bought =
        |it: &&Offer| it.kind == order.kind && it.sku == order.sku && it.place.region == order.region;
    let sold = cloud.listed.iter().find(is_bought);
    let gib = sold.and_then(|offer| offer.capacity.disk_gib.checked_add(order.size_gib));
    let (Some(sold), Some(gib)) = (sold, gib) else {
        let why = format!("the price table has no {} in {} any more", order.sku, order.region);
        return Err(cloud.invalid_request(call, why));
    };
    // Without a secret nobody knows the password: it is set anew when somebody wants in.
    let password = cloud.password_of(&order.key);
    let mut body = fields([
        ("AllocatedStorage", gib.to_string()),
        ("DBInstanceClass", database_class(sold.sku.as_str()).to_owned()),
        ("DBInstanceIdentifier", name_of(&order.key)),
        ("DBName", DATABASE.to_owned()),
        ("DBSubnetGroupName", name_of(&order.key)),
        ("Engine", RDS_ENGINE.to_owned()),
        ("MasterUserPassword", password.expose_secret().to_owned()),
        ("MasterUsername", USER.to_owned()),
        ("MultiAZ", is_highly_available(sold).to_string()),
        ("PubliclyAccessible", "false".to_owned()),
        ("StorageType", "gp3".to_owned()),
    ]);
    if let Some(version) = order.setting("version") {
        body.extend(fields([("EngineVersion", version)]));
    }
    Ok(body)
}

/// How long a new password is waited for, before it counts as the present one.
const PASSWORD_SETTLES_IN: Duration = Duration::from_secs(5);
/// A change that was sent longer ago is sent again: another host may have set another password since.
const PASSWORD_CHANGE_LASTS: Duration = Duration::from_secs(600);

/// Sets the password that today's secret makes, if the present one was made from another secret or from none. A change is over
/// when the database has none that is pending; only then the mark is written. A process that did not send the change sends it
/// again, which sets the same password.
async fn set_password(
    cloud: &Cloud,
    region: &RegionId,
    database: &Resource,
    maker: &PasswordMaker,
    key: &IdempotencyKey,
) -> Result<()> {
    let call = Call::Access;
    let mark = maker.fingerprint();
    if tags_in(&database.value).get(PASSWORD_TAG) == Some(&mark) {
        return Ok(());
    }
    let is_pending = database.value.pointer("/PendingModifiedValues/MasterUserPassword").is_some()
        || database.text("/DBInstanceStatus") != Some("available");
    let sent = cloud.password_change(&database.id).filter(|at| at.elapsed() < PASSWORD_CHANGE_LASTS);
    let is_settled = sent.is_some_and(|at| at.elapsed() >= PASSWORD_SETTLES_IN);
    if sent.is_none() {
        let change = fields([
            ("ApplyImmediately", "true".to_owned()),
            ("DBInstanceIdentifier", database.id.clone()),
            ("MasterUserPassword", cloud.password_of(key).expose_secret().to_owned()),
        ]);
        let change = mutation_of(ApiName::Rds, call, "ModifyDBInstance", &change);
        cloud.change(ApiName::Rds, region, &change).await?;
        cloud.note_password_change(&database.id);
    }
    if is_pending || !is_settled {
        let cause = "the password is being set".to_owned();
        return Err(
            cloud.error(call, ErrorKind::Unavailable { retry_after: Some(PASSWORD_SETTLES_IN), cause })
        );
    }
    let tag = fields([
        ("ResourceName", database.text("/DBInstanceArn").unwrap_or_default().to_owned()),
        ("Tags.Tag.1.Key", PASSWORD_TAG.to_owned()),
        ("Tags.Tag.1.Value", mark),
    ]);
    let tag = mutation_of(ApiName::Rds, call, "AddTagsToResource", &tag);
    cloud.change(ApiName::Rds, region, &tag).await?;
    cloud.forget_password_change(&database.id);
    Ok(())
}
