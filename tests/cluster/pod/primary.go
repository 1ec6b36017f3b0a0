package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
)

// primary is the agent of a primary pod network, as kind's own kindnet is: it
// writes a list of ptp and portmap for the node's pod ranges, and routes the
// ranges of the other nodes to them. It writes the list when it starts and when
// it is missing, and does not look at it otherwise.
func primary() error {
	list := env("CONF_FILE", "/etc/cni/net.d/10-kindnet.conflist")
	for stop := ended(); ; {
		if err := reconcile(list); err != nil {
			fmt.Fprintln(os.Stderr, "primary:", err)
		}
		select {
		case <-stop:
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

var written bool

func reconcile(list string) error {
	var nodes corev1.NodeList
	if err := query("/api/v1/nodes", &nodes); err != nil {
		return err
	}
	for _, node := range nodes.Items {
		if node.Name != os.Getenv("NODE_NAME") {
			if err := route(&node); err != nil {
				return err
			}
			continue
		}
		if _, err := os.Stat(list); err == nil && written {
			continue
		}
		if len(node.Spec.PodCIDRs) == 0 {
			return fmt.Errorf("node %s has no pod ranges yet", node.Name)
		}
		if err := write(list, node.Spec.PodCIDRs); err != nil {
			return err
		}
		written = true
	}
	return nil
}

func write(list string, ranges []string) error {
	type m = map[string]any
	var subnets [][]m
	var routes []m
	for _, cidr := range ranges {
		subnets = append(subnets, []m{{"subnet": cidr}})
		ip, _, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		if ip.To4() != nil {
			routes = append(routes, m{"dst": "0.0.0.0/0"})
		} else {
			routes = append(routes, m{"dst": "::/0"})
		}
	}
	text, err := json.MarshalIndent(m{
		"cniVersion": env("CNI_VERSION", "0.3.1"),
		"name":       "kindnet",
		"plugins": []m{
			{"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": m{
				"type": "host-local", "dataDir": "/run/cni-ipam-state", "routes": routes, "ranges": subnets,
			}},
			{"type": "portmap", "capabilities": m{"portMappings": true}},
		},
	}, "", "\t")
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(list); err == nil && bytes.Equal(old, text) {
		return nil
	}
	// Runtimes notice a rename inside the directory.
	if err := os.WriteFile(list+".temporary", text, 0o644); err != nil {
		return err
	}
	fmt.Println("primary: writing", list)
	return os.Rename(list+".temporary", list)
}

// route sends the pod ranges of another node to its address of the same family.
func route(node *corev1.Node) error {
	for _, cidr := range node.Spec.PodCIDRs {
		_, destination, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		for _, address := range node.Status.Addresses {
			gateway := net.ParseIP(address.Address)
			if address.Type != corev1.NodeInternalIP || (gateway.To4() == nil) != (destination.IP.To4() == nil) {
				continue
			}
			if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: gateway}); err != nil {
				return fmt.Errorf("route %s via %s: %w", destination, gateway, err)
			}
		}
	}
	return nil
}

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// query reads one object from the API server, as the pod's service account.
func query(path string, into any) error {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
	}
	request, err := http.NewRequest(http.MethodGet, "https://"+net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
