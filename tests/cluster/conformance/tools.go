//go:build tools

package main

// Built as programs by build.sh; imported here so that go.mod and go.sum hold
// what they need.
import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
