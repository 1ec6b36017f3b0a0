package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// results maps the name of each test that ran to why it failed, "" if it passed.
type results map[string]string

// failed returns the names of the tests that failed, sorted.
func (r results) failed() []string {
	var names []string
	for name, why := range r {
		if why != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// read takes the tests out of ginkgo's report of one run. A suite that failed as
// a whole is an error: its tests say nothing.
func read(reports []types.Report) (results, error) {
	ran := results{}
	for _, report := range reports {
		for _, spec := range report.SpecReports {
			failed := spec.State.Is(types.SpecStateFailureStates)
			switch {
			case spec.LeafNodeType == types.NodeTypeIt && failed:
				ran[spec.FullText()] = reason(spec)
			case spec.LeafNodeType == types.NodeTypeIt && spec.State.Is(types.SpecStatePassed):
				ran[spec.FullText()] = ""
			case failed:
				return nil, fmt.Errorf("%s failed: %s", spec.LeafNodeType, firstLine(spec.Failure.Message))
			}
		}
	}
	if len(ran) == 0 {
		return nil, fmt.Errorf("no test ran")
	}
	return ran, nil
}

// What the kubelet's event says, which the framework prints for a failed test.
var missingImage = regexp.MustCompile(`Failed to pull image "([^"]+)"`)

// reason says in a line why a test failed, as far as its output shows.
func reason(spec types.SpecReport) string {
	if image := missingImage.FindStringSubmatch(spec.CapturedGinkgoWriterOutput); image != nil {
		return "there is no image " + image[1]
	}
	// A test can also be skipped by its own code; a failed one always has a state.
	return spec.State.String() + ": " + firstLine(spec.Failure.Message)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// verdict is what three runs say: with the plugin, the failed ones again with it,
// and those that failed twice without it. A test that a later run did not run
// counts as failed there with the plugin, and as passed there without it.
type verdict struct {
	ran, passed int
	// Failed once, passed when tried again.
	flaky []string
	// Failed twice with the plugin, and without it: name and reason.
	alsoWithout results
	// Failed twice with the plugin, passed without it: name and reason.
	onlyWith results
}

func judge(with, again, without results) verdict {
	v := verdict{ran: len(with), alsoWithout: results{}, onlyWith: results{}}
	for name, why := range with {
		second, tried := again[name]
		_, triedWithout := without[name]
		switch {
		case why == "":
			v.passed++
		case tried && second == "":
			v.passed++
			v.flaky = append(v.flaky, name)
		case triedWithout && without[name] != "":
			v.alsoWithout[name] = without[name]
		default:
			v.onlyWith[name] = why
		}
	}
	slices.Sort(v.flaky)
	return v
}

// print writes the summary for people.
func (v verdict) print(out io.Writer) {
	fmt.Fprintf(out, "%d tests ran with osm-cni in the chain of every node: %d passed, %d fail without it too, %d fail only with it\n",
		v.ran, v.passed, len(v.alsoWithout), len(v.onlyWith))
	for _, name := range v.flaky {
		fmt.Fprintf(out, "passed when tried again: %s\n", name)
	}
	for _, name := range slices.Sorted(maps.Keys(v.alsoWithout)) {
		fmt.Fprintf(out, "fails without it too: %s\n    %s\n", name, v.alsoWithout[name])
	}
	for _, name := range slices.Sorted(maps.Keys(v.onlyWith)) {
		fmt.Fprintf(out, "FAILS ONLY WITH osm-cni: %s\n    %s\n", name, v.onlyWith[name])
	}
}
