// Command kubernetes is every program of a Kubernetes node in one: it runs the
// program whose name it is called by. One link step instead of eight, and one
// file in the node image instead of a gigabyte.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs maps a program's name to its main function.
var programs = map[string]func(context.Context) int{
	"etcd": func(context.Context) int {
		etcdmain.Main(os.Args)
		return 0
	},
	"kubeadm": func(context.Context) int {
		if err := kubeadm.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	},
	"kube-apiserver":          command(func(context.Context) *cobra.Command { return apiserver.NewAPIServerCommand() }),
	"kube-controller-manager": command(func(context.Context) *cobra.Command { return controllermanager.NewControllerManagerCommand() }),
	"kube-scheduler":          command(func(context.Context) *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kube-proxy":              command(func(context.Context) *cobra.Command { return proxy.NewProxyCommand() }),
	"kubelet":                 command(kubelet.NewKubeletCommand),
	"kubectl":                 command(func(context.Context) *cobra.Command { return kubectl.NewDefaultKubectlCommand() }),
}

func command(build func(context.Context) *cobra.Command) func(context.Context) int {
	return func(ctx context.Context) int { return cli.Run(build(ctx)) }
}

func main() {
	name := filepath.Base(os.Args[0])
	run, known := programs[name]
	if !known {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintf(os.Stderr, "%s: not a program of Kubernetes; start it as one of %s\n", name, strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Exit(run(context.Background()))
}
