// Command pod is everything that runs in the cluster's test pods but the proxy:
// servers, clients, the stand-in for a mesh's injector and the agent of the primary
// pod network. One static program, by its first argument.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `usage: pod VERB
  serve PORT…            HTTP on each port: who connected, and to which address
  get URL                one request; prints the answer
  captured ADDRESS       listens on the proxy's outbound port and connects to ADDRESS;
                         prints whether the connection came back to itself
  healthcheck            stands for osm-healthcheck and fsm-healthcheck
  injector MESH          stands for the injector of osm or fsm
  primary                the agent of a primary pod network
  exit CODE              ends at once
  sleep                  does nothing until it is told to end
  farewell URL           the same, and then makes requests for some time; fails if
                         one of them does
Under the names wait-pipy and gkill it stands for the hooks of FSM's proxy.`

func main() {
	args := os.Args[1:]
	if name := filepath.Base(os.Args[0]); name == "wait-pipy" || name == "gkill" {
		args = []string{name}
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, "pod:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no verb\n%s", usage)
	}
	verb, args := args[0], args[1:]
	switch {
	case verb == "serve" && len(args) > 0:
		return serve(args)
	case verb == "get" && len(args) == 1:
		return get(args[0])
	case verb == "captured" && len(args) == 1:
		return captured(args[0])
	case verb == "healthcheck":
		return healthcheck()
	case verb == "injector" && len(args) == 1:
		return injector(args[0])
	case verb == "farewell" && len(args) == 1:
		return farewell(args[0])
	case verb == "wait-pipy":
		return waitPipy()
	case verb == "gkill":
		// The worst that a hook before the proxy's end can do: end it at once.
		return syscall.Kill(1, syscall.SIGTERM)
	case verb == "primary":
		return primary()
	case verb == "exit" && len(args) == 1:
		var code int
		if _, err := fmt.Sscan(args[0], &code); err != nil {
			return err
		}
		os.Exit(code)
	case verb == "sleep":
		<-ended()
		return nil
	}
	return fmt.Errorf("%q with %d arguments is no verb\n%s", verb, len(args), usage)
}

// ended delivers the signal that a container gets at its end.
func ended() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	return signals
}
