use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::ec2::{Ec2, Ec2Config};
use serde_json::json;

use super::{Api, Ask, Reply, Thing, World, config, table, xml};

pub const API: Api = Api {
    name: "ec2",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.get("Action") == "RunInstances",
    blueprint: "{ name: shop, components: { web: { vcpu: 2, disk_gib: 20 } } }",
    no_element: "<DescribeInstancesResponse><requestId>1</requestId></DescribeInstancesResponse>",
    goes_on: Some(
        "<DescribeInstancesResponse><reservationSet/><nextToken>again</nextToken></DescribeInstancesResponse>",
    ),
    kind: "text/xml;charset=UTF-8",
};

fn adapter(folder: &Path, url: &str) -> Ec2 {
    table(folder, "ec2", true);
    let document = json!({ "endpoint": url, "access_key": "file:secret", "secret_key": "file:secret", "catalogue": "prices.csv",
        "client_token": "ignored", "image": "ami-1", "images": { "debian-13": "ami-1" }, "list_lag_ms": 100, "http": { "timeout_ms": 3000 } });
    config::<Ec2Config>(document).build(folder).expect("an adapter")
}

fn told(thing: &Thing) -> String {
    let disks = thing.parts.keys().map(|id| {
        format!("<item><deviceName>/dev/{id}</deviceName><ebs><volumeId>{id}</volumeId><deleteOnTermination>true</deleteOnTermination></ebs></item>")
    });
    let disks: String = disks.collect();
    let notes =
        thing.notes.iter().map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"));
    let notes: String = notes.collect();
    format!(
        "<item><instancesSet><item><instanceId>{}</instanceId><instanceType>{}</instanceType><instanceState><name>{}</name></instanceState>
         <tagSet><item><key>fulcrum-key</key><value>{}</value></item>{notes}</tagSet>
         <blockDeviceMapping>{disks}</blockDeviceMapping></item></instancesSet></item>",
        thing.id, thing.sku, if thing.is_on { "running" } else { "stopped" }, thing.key
    )
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let is = |root: &str, body: &str| {
        xml(200, &format!("<{root}Response xmlns='urn:x'><requestId>1</requestId>{body}</{root}Response>"))
    };
    let no = |code: &str| {
        xml(
            400,
            &format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
            ),
        )
    };
    let action = ask.get("Action");
    match action {
        "DescribeInstanceTypes" => is(
            action,
            "<instanceTypeSet><item><instanceType>small</instanceType><vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo>
             <memoryInfo><sizeInMiB>2048</sizeInMiB></memoryInfo></item></instanceTypeSet>",
        ),
        "DescribeAvailabilityZones" => {
            is(action, "<availabilityZoneInfo><item><zoneName>a</zoneName></item></availabilityZoneInfo>")
        }
        "DescribeImages" if ask.get("ImageId.1") != "ami-1" => no("InvalidAMIID.NotFound"),
        "DescribeKeyPairs" => no("InvalidKeyPair.NotFound"),
        "DescribeSecurityGroups" => no("InvalidGroup.NotFound"),
        "DescribeSubnets" => no("InvalidSubnetID.NotFound"),
        "DescribeImages" => is(action, "<imagesSet><item><imageId>ami-1</imageId><rootDeviceName>/dev/sda1</rootDeviceName></item></imagesSet>"),
        "RunInstances" => {
            let key = ask.get("ClientToken").to_owned();
            let thing = world.make(|at| format!("i-{at:016x}"), &key, "small");
            is(action, &format!("<instancesSet><item><instanceId>{}</instanceId></item></instancesSet>", thing.id))
        }
        "DescribeInstances" => {
            let (id, key) = (ask.get("InstanceId.1"), ask.get("Filter.1.Value.1"));
            if !id.is_empty() && !world.things.contains_key(id) {
                return xml(400, "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>no</Message></Error></Errors></Response>");
            }
            let all: Vec<Thing> = match id {
                "" if world.hides => Vec::new(),
                "" => world.things.values().filter(|it| key == "fulcrum-key" || it.key == key).cloned().collect(),
                id => world.look(id).into_iter().collect(),
            };
            is(action, &format!("<reservationSet>{}</reservationSet>", all.iter().map(told).collect::<String>()))
        }
        "CreateTags" => {
            let (id, key, value) = (ask.get("ResourceId.1"), ask.get("Tag.1.Key"), ask.get("Tag.1.Value"));
            if id.starts_with("vol-") {
                world.part_notes.insert(id.to_owned(), json!({ key: value }));
            } else {
                // A garbled answer may have led here.
                let Some(thing) = world.things.get_mut(id) else {
                    return xml(400, "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>no</Message></Error></Errors></Response>");
                };
                thing.notes.insert(key.to_owned(), value.to_owned());
            }
            is(action, "<return>true</return>")
        }
        "DescribeVolumes" => {
            let (id, key) = (ask.get("VolumeId.1"), ask.get("Filter.1.Value.1"));
            let key_of = |part: &String| world.part_notes.get(part)?.get("fulcrum-key")?.as_str();
            if !id.is_empty() && !world.parts.contains_key(id) {
                return xml(400, "<Response><Errors><Error><Code>InvalidVolume.NotFound</Code><Message>no</Message></Error></Errors></Response>");
            }
            let all = world.parts.keys().filter(|part| match id {
                "" => key_of(part) == Some(key),
                id => *part == id,
            });
            let volume = |part: &String| {
                let tags = key_of(part).map(|key| format!("<item><key>fulcrum-key</key><value>{key}</value></item>"));
                let held = world.holders(part).into_iter();
                let held = held.map(|id| format!("<item><instanceId>{id}</instanceId><status>attached</status></item>"));
                format!(
                    "<item><volumeId>{part}</volumeId><volumeType>gp3</volumeType><status>available</status>
                     <tagSet>{}</tagSet><attachmentSet>{}</attachmentSet></item>",
                    tags.unwrap_or_default(), held.collect::<String>()
                )
            };
            is(action, &format!("<volumeSet>{}</volumeSet>", all.map(volume).collect::<String>()))
        }
        "DeleteVolume" => {
            let part = ask.get("VolumeId");
            if !world.holders(part).is_empty() {
                return xml(400, "<Response><Errors><Error><Code>VolumeInUse</Code><Message>no</Message></Error></Errors></Response>");
            }
            world.parts.remove(part);
            is(action, "<return>true</return>")
        }
        "StartInstances" | "StopInstances" => {
            let id = ask.get("InstanceId.1");
            world.act(id, |thing| thing.is_on = action == "StartInstances");
            is(action, &format!("<instancesSet><item><instanceId>{id}</instanceId></item></instancesSet>"))
        }
        "ModifyInstanceAttribute" => {
            world.act(ask.get("InstanceId"), |thing| ask.get("InstanceType.Value").clone_into(&mut thing.sku));
            is(action, "<return>true</return>")
        }
        "TerminateInstances" => {
            world.end_with_parts(ask.get("InstanceId.1"));
            is(action, "<instancesSet/>")
        }
        _ => xml(400, "<Response><Errors><Error><Code>InvalidAction</Code><Message>no</Message></Error></Errors></Response>"),
    }
}
