use super::*;

#[test]
fn a_seed_repeats() {
    let names = |seed| Fleet::new(seed, 10).instances.into_iter().map(|i| (i.id, i.tenant)).collect::<Vec<_>>();
    assert_eq!(names(1), names(1));
    assert_ne!(names(1), names(2));
}

#[test]
fn the_first_instance_suits_the_reference_traces() {
    for seed in 0..20 {
        let fleet = Fleet::new(seed, 1);
        let instance = &fleet.instances[0];
        assert_eq!(instance.engine, Engine::Postgresql);
        assert_eq!(instance.region, 0);
        assert_ne!(instance.primary().pod, instance.standby().pod);
    }
}

#[test]
fn every_resource_names_its_service_and_instance() {
    let fleet = Fleet::new(3, INSTANCE_COUNT);
    let mut instance_ids = std::collections::BTreeSet::new();
    let nodes = fleet.instances.iter().flat_map(|instance| &instance.nodes);
    let emitters = nodes
        .flat_map(|node| [&node.agent, &node.database])
        .chain(fleet.regions.iter().flat_map(|region| region.services.values()));
    for emitter in emitters {
        let keys: Vec<&str> = emitter.resource.attributes.iter().map(|kv| kv.key.as_str()).collect();
        assert!(keys.contains(&"service.name") && keys.contains(&"cloud.region"), "{keys:?}");
        let id = emitter.resource.attributes.iter().find(|kv| kv.key == "service.instance.id").expect("an id");
        assert!(instance_ids.insert(format!("{:?}", id.value)), "two emitters share {id:?}");
    }
    assert_eq!(instance_ids.len(), fleet.emitter_count());
    assert!(fleet.emitter_count() > 200, "only {} senders", fleet.emitter_count());
}
