//! Regions in this process, each with a deployment of the same model.

use tower_aoai_simulator::{Deployment, Latency, Simulator, World};

/// One resource a region, `contoso-{region}`, each of which takes its time as Azure does.
pub(crate) fn regions(names: &[&str]) -> World {
    let resources = names.iter().enumerate().map(|(seed, name)| {
        let deployment = Deployment::standard("gpt-4o").tokens_per_minute(200_000).region(name);
        let azure = Simulator::builder().seed(seed as u64).latency(Latency::typical()).deployment(deployment).build();
        (format!("contoso-{name}"), azure)
    });
    resources.fold(World::builder(), |world, (name, azure)| world.resource(&name, azure)).build()
}

/// How many requests reached each of them.
pub(crate) fn shares(world: &World) -> Vec<usize> {
    world.resources().map(|(_, azure)| azure.journal().len()).collect()
}
