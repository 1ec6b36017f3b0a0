// Command conformance runs Kubernetes' own conformance tests on the cluster that
// cluster.sh made: with osm-cni in every node's chain, those that failed once more,
// and what failed twice without osm-cni. What fails only with it is a failure.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

// Patience bounds everything but the tests themselves.
const patience = 10 * time.Minute

// The tests of the two groups that have to do with a pod's network. Serial ones
// restart nodes and the like, and would have to run alone.
const labels = "Conformance && (sig-network || sig-node) && !Serial"

func main() {
	focus := flag.String("focus", "", "run only the tests whose name matches this regular expression")
	parallel := flag.Int("parallel", 4, "run this many tests at once")
	flag.Parse()
	clean, err := run(*focus, *parallel)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !clean {
		os.Exit(1)
	}
}

// cluster is what cluster.sh tells of the cluster that it made.
type cluster struct {
	provider, root string
	// Where reports and output go.
	reports string
}

// run reports whether nothing failed that passes without osm-cni.
func run(focus string, parallel int) (bool, error) {
	c := cluster{
		provider: os.Getenv("OSM_CNI_CLUSTER_PROVIDER"),
		root:     os.Getenv("OSM_CNI_ROOT"),
	}
	if c.provider == "" || c.root == "" {
		return false, fmt.Errorf("no cluster is here: start this by `make test-conformance`")
	}
	c.reports = filepath.Join(c.root, "target/cluster/conformance/reports")
	if err := os.RemoveAll(c.reports); err != nil {
		return false, err
	}
	if err := os.MkdirAll(c.reports, 0o755); err != nil {
		return false, err
	}
	if err := c.install(); err != nil {
		return false, err
	}
	before, err := c.calls()
	if err != nil {
		return false, err
	}
	with, err := c.tests("with", focus, parallel)
	if err != nil {
		return false, err
	}
	after, err := c.calls()
	if err != nil {
		return false, err
	}
	pods := 0
	for node, count := range after {
		pods += count - before[node]
		fmt.Printf("conformance: osm-cni was called for %d pods on %s\n", count-before[node], node)
	}
	if pods == 0 {
		return false, fmt.Errorf("osm-cni was called for no pod of the tests, so they say nothing about it")
	}
	again, without := results{}, results{}
	if failed := with.failed(); len(failed) > 0 {
		// Load makes tests fail, too.
		if again, err = c.tests("again", exactly(failed), parallel); err != nil {
			return false, err
		}
	}
	if failed := again.failed(); len(failed) > 0 {
		if err := c.uninstall(); err != nil {
			return false, err
		}
		if without, err = c.tests("without", exactly(failed), parallel); err != nil {
			return false, err
		}
	}
	v := judge(with, again, without)
	return len(v.onlyWith) == 0, c.summary(v)
}

// exactly is the regular expression for these tests and no others.
func exactly(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	// ginkgo puts the suite's name before the test's.
	return `(^| )(` + strings.Join(quoted, "|") + `)$`
}

// tests runs the conformance tests that match focus and reads ginkgo's report.
func (c cluster) tests(name, focus string, parallel int) (results, error) {
	bin := filepath.Join(c.root, "target/cluster/bin")
	log, err := os.Create(filepath.Join(c.reports, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"run", "--no-color", "--procs=" + strconv.Itoa(parallel), "--timeout=6h", "--label-filter=" + labels,
		"--output-dir=" + c.reports, "--json-report=" + name + ".json", "--junit-report=" + name + ".xml"}
	if focus != "" {
		args = append(args, "--focus="+focus)
	}
	args = append(args, filepath.Join(bin, "e2e.test"), "--", "--kubeconfig="+os.Getenv("KUBECONFIG"),
		"--provider=local", "--disable-log-dump")
	fmt.Printf("conformance: running the tests %s, output in %s\n", name, log.Name())
	ginkgo := exec.Command(filepath.Join(bin, "ginkgo"), args...)
	ginkgo.Stdout, ginkgo.Stderr = log, log
	started := time.Now()
	// It fails if a test fails, which the report tells better.
	failure := ginkgo.Run()
	text, err := os.ReadFile(filepath.Join(c.reports, name+".json"))
	if err != nil {
		return nil, fmt.Errorf("ginkgo left no report (%v), see %s: %w", failure, log.Name(), err)
	}
	var reports []types.Report
	if err := json.Unmarshal(text, &reports); err != nil {
		return nil, fmt.Errorf("ginkgo's report: %w", err)
	}
	ran, err := read(reports)
	if err != nil {
		return nil, fmt.Errorf("the tests %s: %w; see %s", name, err, log.Name())
	}
	fmt.Printf("conformance: %s: %d ran, %d failed, %s\n", name, len(ran), len(ran.failed()), time.Since(started).Round(time.Second))
	return ran, nil
}

// summary prints the verdict with the versions and leaves it beside the reports.
func (c cluster) summary(v verdict) error {
	runtimes, err := command("kubectl", "get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.name}: {.status.nodeInfo.kubeletVersion}, {.status.nodeInfo.containerRuntimeVersion}, kernel {.status.nodeInfo.kernelVersion}{"\n"}{end}`)
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n%s", time.Now().Format(time.DateOnly), runtimes)
	v.print(&text)
	fmt.Print(text.String())
	return os.WriteFile(filepath.Join(c.reports, "summary"), []byte(text.String()), 0o644)
}

// command runs a program and returns what it printed.
func command(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, output)
	}
	return string(output), nil
}
