// Command pod is everything that runs in the cluster's test pods but the proxy:
// servers, clients, the stand-in for OSM's injector and the agent of the primary
// pod network. One static program, by its first argument.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: pod VERB
  serve PORT…            HTTP on each port: who connected, and to which address
  get URL                one request; prints the answer
  captured ADDRESS       listens on the proxy's outbound port and connects to ADDRESS;
                         prints whether the connection came back to itself
  healthcheck            stands for osm-healthcheck
  injector               stands for OSM's injector
  primary                the agent of a primary pod network
  exit CODE              ends at once
  sleep                  does nothing until it is told to end`

func main() {
	if err := run(os.Args[1:]); err != nil {
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
	case verb == "injector":
		return injector()
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
