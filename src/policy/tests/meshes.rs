//! Decisions where there are several meshes, or another one than OSM.

use super::*;

#[test]
fn a_pod_of_a_mesh_that_is_not_named_is_refused() {
    let error = decided(json!({}), &pod(&[]), mounted(&[FSM_VOLUME]));
    assert!(error.contains("volume sidecar-bootstrap-config-volume of mesh fsm"), "{error}");
    assert_eq!(
        decided(json!({"mesh": "fsm"}), &pod(&[]), mounted(&[FSM_VOLUME])),
        "fsm by sidecar-volume"
    );
    // An operator who names the volume says whose it is.
    let named = json!({"sidecarVolumes": [OSM_VOLUME, FSM_VOLUME]});
    assert_eq!(decided(named, &pod(&[]), mounted(&[FSM_VOLUME])), "osm by sidecar-volume");
    let error = decided(json!({}), &pod(&[]), mounted(&[OSM_VOLUME, FSM_VOLUME]));
    assert!(error.starts_with("this pod is one of two meshes: osm"), "{error}");
}

#[test]
fn of_several_meshes_the_volume_tells_which() {
    let both = || json!({"mesh": ["osm", "fsm"], "meshes": {"fsm": {"meshNamespaces": ["demo"]}}});
    let plain = pod(&[]);
    assert_eq!(decided(both(), &plain, mounted(&[FSM_VOLUME])), "fsm by sidecar-volume");
    assert_eq!(decided(both(), &plain, mounted(&[OSM_VOLUME])), "osm by sidecar-volume");
    let error = decided(both(), &plain, mounted(&[OSM_VOLUME, FSM_VOLUME]));
    assert!(error.starts_with("this pod is one of two meshes: osm (sidecar volume"), "{error}");
    // Disabled for one mesh, injected by the other.
    let moved = pod(&[(INJECTION, "disabled")]);
    assert_eq!(decided(both(), &moved, mounted(&[FSM_VOLUME])), "fsm by sidecar-volume");
    assert_eq!(decided(both(), &moved, mounted(&[OSM_VOLUME])), "disabled");
    let out = pod(&[(INJECTION, "no"), (FSM_INJECTION, "no")]);
    assert_eq!(decided(both(), &out, mounted(&[FSM_VOLUME])), "disabled");
    // Without a kubelet the annotations' prefix does, and the namespace.
    assert_eq!(decided(both(), &plain, Volumes::NoPod), "fsm by mesh-namespace");
    let shared = json!({"mesh": ["osm", "fsm"], "meshNamespaces": ["*"]});
    assert_eq!(
        decided(shared.clone(), &pod(&[("openservicemesh.io/metrics", "x")]), Volumes::NoPod),
        "osm by mesh-namespace"
    );
    let error = decided(shared, &plain, Volumes::NoPod);
    assert!(error.starts_with("this pod is one of two meshes"), "{error}");
}

#[test]
fn fields_of_one_mesh_stand_above_those_of_all() {
    let json = json!({
        "mesh": ["osm", "fsm"],
        "traffic": {"outboundPortExclusionList": [1], "inboundPortExclusionList": [2]},
        "meshes": {"fsm": {"traffic": {"outboundPortExclusionList": [3]}}},
    });
    let settings = settings(&json);
    let selection = settings.selection.expect("in order");
    let lists = |index: usize| {
        let lists = &selection.meshes[index].redirection.as_ref().expect("in order").lists;
        (lists.outbound_ports[0].first(), lists.inbound_ports[0].first())
    };
    assert_eq!((lists(0), lists(1)), ((1, 2), (3, 2)));
    assert!(settings.excluded_namespaces.iter().any(|name| name == "fsm-system"));
    let wrong = json!({"mesh": ["osm", "fsm"], "meshes": {"fsm": {"proxy": {"uid": "x"}}}});
    let error = decided(wrong.clone(), &pod(&[]), mounted(&[FSM_VOLUME]));
    assert_eq!(error, "meshes.fsm.proxy.uid: \"x\" is not a uid (0-4294967294)");
    assert_eq!(decided(wrong, &pod(&[]), mounted(&[OSM_VOLUME])), "osm by sidecar-volume");
}

#[test]
fn an_invented_mesh_is_one_more_row() {
    use crate::config::profile::*;
    static CHAINS: Layout = Layout {
        name: "acme",
        order: RuleOrder::V1,
        chains: ChainNames {
            inbound: "ACME_IN",
            in_redirect: "ACME_IN_REDIRECT",
            outbound: "ACME_OUT",
            out_redirect: "ACME_OUT_REDIRECT",
        },
        inbound_bypass_ports: &[9901],
    };
    static ACME: Profile = Profile {
        name: "acme",
        title: "Acme Mesh",
        layout: &CHAINS,
        annotation_prefix: "mesh.acme.example",
        other_annotations: &[],
        sidecar_volume: "acme-bootstrap",
        namespace: "acme-system",
        proxy: ProxyDefaults {
            uid: 4242,
            outbound_port: 4001,
            inbound_port: 4003,
            admin_port: 4000,
        },
        mesh_config: MeshConfigKind {
            group: "config.acme.example",
            name: "acme-mesh-config",
            versions: &[],
            newest: &CHAINS,
        },
    };
    static PROFILES: [&Profile; 3] = [&OSM, &FSM, &ACME];
    let text = json!({"mesh": ["osm", "acme"]}).to_string();
    let fields = serde_json::from_str(&text).expect("an object");
    let settings = Settings::parse_with(fields, &PROFILES);
    assert!(settings.excluded_namespaces.iter().any(|name| name == "acme-system"));
    let pod = pod(&[("mesh.acme.example/outbound-port-exclusion-list", "80")]);
    let volumes = |_: &VolumeQuery<'_>| Ok(mounted(&["acme-bootstrap"]));
    let admission = crate::admit::admit(&settings, &pod, volumes, None).expect("a decision");
    let crate::admit::Decision::Redirect(redirect) = admission.decision else { panic!("left") };
    assert_eq!((redirect.mesh, redirect.pod_lists), ("acme", vec!["outbound-ports"]));
    let mut text = Vec::new();
    crate::ruleset::text::nft(&redirect.ruleset, &mut text).expect("memory has room");
    let text = String::from_utf8(text).expect("UTF-8");
    for part in
        ["chain ACME_OUT_REDIRECT", "redirect to :4001", "redirect to :4003", "skuid 4242", "9901"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}
