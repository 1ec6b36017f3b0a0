package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2/types"
)

func TestWhatFailsOnlyWithThePluginIsNamed(t *testing.T) {
	with := results{"passes": "", "load": "slow", "image": "x", "ours": "refused", "lost": "y", "lost without": "z"}
	again := results{"load": "", "image": "x", "ours": "refused", "lost without": "z"}
	without := results{"image": "there is no image i", "ours": "", "lost": "y"}
	v := judge(with, again, without)
	if v.ran != 6 || v.passed != 2 {
		t.Errorf("%d ran, %d passed", v.ran, v.passed)
	}
	if strings.Join(v.flaky, ",") != "load" {
		t.Errorf("flaky: %q", v.flaky)
	}
	if strings.Join(v.alsoWithout.failed(), ",") != "image,lost" {
		t.Errorf("without it too: %v", v.alsoWithout)
	}
	if strings.Join(v.onlyWith.failed(), ",") != "lost without,ours" {
		t.Errorf("only with it: %v", v.onlyWith)
	}
	var out bytes.Buffer
	v.print(&out)
	if !strings.Contains(out.String(), "FAILS ONLY WITH osm-cni: ours\n    refused\n") {
		t.Error(out.String())
	}
}

func spec(name string, state types.SpecState, output string) types.SpecReport {
	return types.SpecReport{
		LeafNodeType: types.NodeTypeIt, LeafNodeText: name, State: state,
		Failure: types.Failure{Message: "first\nsecond"}, CapturedGinkgoWriterOutput: output,
	}
}

func TestAReportIsReadWithItsReasons(t *testing.T) {
	got, err := read([]types.Report{{SpecReports: types.SpecReports{
		spec("passed", types.SpecStatePassed, ""),
		spec("failed", types.SpecStateFailed, ""),
		spec("timed out", types.SpecStateTimedout, `Failed to pull image "a/b:1": no route`),
		spec("skipped", types.SpecStateSkipped, ""),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	want := results{"passed": "", "failed": "failed: first", "timed out": "there is no image a/b:1"}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	for name, why := range want {
		if got[name] != why {
			t.Errorf("%s: %q, not %q", name, got[name], why)
		}
	}
}

func TestAReportWithoutTestsOrOfABrokenSuiteIsAnError(t *testing.T) {
	if _, err := read([]types.Report{{}}); err == nil {
		t.Error("no test ran, and no error")
	}
	setup := types.SpecReport{LeafNodeType: types.NodeTypeSynchronizedBeforeSuite, State: types.SpecStateFailed}
	report := types.Report{SpecReports: types.SpecReports{setup, spec("passed", types.SpecStatePassed, "")}}
	if _, err := read([]types.Report{report}); err == nil {
		t.Error("the set-up failed, and no error")
	}
}
