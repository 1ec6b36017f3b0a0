package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Seen is what a server saw of a connection. Remote is loopback where the
// pod's proxy passed it on, and the client's pod where nothing was between.
type Seen struct {
	Pod    string `json:"pod"`
	Remote string `json:"remote"`
	Local  string `json:"local"`
}

// serve answers HTTP on each port until the container ends.
func serve(ports []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		// The answer is all that a connection is for.
		w.Header().Set("Connection", "close")
		json.NewEncoder(w).Encode(Seen{Pod: host, Remote: r.RemoteAddr, Local: local.String()})
	})
	failed := make(chan error)
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		go func() { failed <- http.Serve(listener, handler) }()
	}
	fmt.Println("serving", ports)
	select {
	case err := <-failed:
		return err
	case <-ended():
		return nil
	}
}

// get prints the answer of one request.
func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

// farewell waits until the container is told to end, and then makes requests for
// two seconds, as a server that finishes its work does.
func farewell(url string) error {
	<-ended()
	for i := range 20 {
		if err := get(url); err != nil {
			return fmt.Errorf("request %d after the end began: %w", i+1, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// waitPipy waits until the proxy listens.
func waitPipy() error {
	var err error
	for range 600 {
		var connection net.Conn
		if connection, err = net.Dial("tcp", "127.0.0.1:15001"); err == nil {
			return connection.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// captured connects to address and reports whether the connection came back to
// this process on the proxy's outbound port.
func captured(address string) error {
	listener, err := net.Listen("tcp", ":15001")
	if err != nil {
		return err
	}
	defer listener.Close()
	accepted := make(chan string, 1)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- connection.RemoteAddr().String()
			connection.Close()
		}
	}()
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		fmt.Println("direct: connect:", err)
		return nil
	}
	defer connection.Close()
	select {
	case remote := <-accepted:
		if remote != connection.LocalAddr().String() {
			return fmt.Errorf("%s came in, not %s", remote, connection.LocalAddr())
		}
		fmt.Println("captured")
	case <-time.After(time.Second):
		fmt.Println("direct: connected")
	}
	return nil
}

// healthcheck answers on port 15904 whether a TCP connection to the port named
// in the request succeeds, as the meshes' own do for rewritten tcpSocket probes.
func healthcheck() error {
	answer := func(w http.ResponseWriter, r *http.Request) {
		address := net.JoinHostPort("localhost", r.Header.Get("Original-Tcp-Port"))
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		connection.Close()
	}
	http.HandleFunc("/osm-healthcheck", answer)
	http.HandleFunc("/fsm-healthcheck", answer)
	return http.ListenAndServe(":15904", nil)
}
