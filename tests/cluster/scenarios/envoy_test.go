package scenarios

import "encoding/json"

type object = map[string]any

// bootstrap is a proxy's configuration as OSM's control plane would have it, as far
// as connections go: what goes out goes on to where it was going, what comes in
// goes to the application on loopback, and both are written to the log.
func bootstrap() string {
	local := func(port int) object {
		return object{"name": name("local", port), "connect_timeout": "2s", "type": "STATIC",
			"load_assignment": object{"cluster_name": name("local", port), "endpoints": []object{{
				"lb_endpoints": []object{{"endpoint": object{"address": address("127.0.0.1", port)}}}}}}}
	}
	originalDestination := []object{{"name": "envoy.filters.listener.original_dst", "typed_config": object{
		"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}}
	listener := func(what string, port int, chains ...object) object {
		return object{"name": what, "address": address("::", port), "filter_chains": chains}
	}
	inbound := listener("inbound", 15003)
	var chains, clusters []object
	for _, port := range []int{8080, 8081, 8082, 15099} {
		chains = append(chains, object{"filter_chain_match": object{"destination_port": port},
			"filters": []object{forward("inbound", name("local", port))}})
		clusters = append(clusters, local(port))
	}
	inbound["filter_chains"] = chains
	inbound["listener_filters"] = originalDestination
	outbound := listener("outbound", 15001, object{"filters": []object{forward("outbound", "original")}})
	outbound["listener_filters"] = originalDestination
	clusters = append(clusters, object{"name": "original", "connect_timeout": "2s", "type": "ORIGINAL_DST",
		"lb_policy": "CLUSTER_PROVIDED"})
	listeners := []object{inbound, outbound}
	// Rewritten HTTP probes: liveness, readiness, start-up.
	for _, port := range []int{15901, 15902, 15903} {
		listeners = append(listeners, listener(name("probe", port), port,
			object{"filters": []object{forward(name("probe", port), name("local", 8080))}}))
	}
	text, err := json.MarshalIndent(object{
		"admin":            object{"address": address("127.0.0.1", 15000)},
		"static_resources": object{"listeners": listeners, "clusters": clusters},
	}, "", " ")
	if err != nil {
		panic(err)
	}
	return string(text)
}

func address(host string, port int) object {
	socket := object{"address": host, "port_value": port}
	if host == "::" {
		socket["ipv4_compat"] = true
	}
	return object{"socket_address": socket}
}

func forward(what, cluster string) object {
	return object{"name": "envoy.filters.network.tcp_proxy", "typed_config": object{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
		"stat_prefix": what, "cluster": cluster,
		"access_log": []object{{"name": "envoy.access_loggers.stdout", "typed_config": object{
			"@type":      "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
			"log_format": object{"text_format_source": object{"inline_string": what + " %DOWNSTREAM_LOCAL_ADDRESS%\n"}},
		}}},
	}}
}

func name(what string, port int) string {
	text, _ := json.Marshal(port)
	return what + "_" + string(text)
}
