package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sample() *Run {
	return &Run{Date: "2026-11-22", Command: "make bench", Machine: Machine{CPU: "x", Processors: 2, Kernel: "Linux 6.1"}, Contests: []Contest{{
		Name: "decision", Title: "Decision", About: "What is decided.", Unit: "µs of CPU time a request", Rounds: 3, Rows: []Row{
			{Name: "Gatehouse", Value: SpreadOf([]float64{12, 10, 11})},
			{Name: "slow", Value: SpreadOf([]float64{400}), Ratio: Ratios([]float64{11}, []float64{400}), Aim: 1. / 35},
			{Name: "bare & quick", Value: SpreadOf([]float64{10, 10, 10}), Ratio: Ratios([]float64{12, 10, 11}, []float64{10, 10, 10}), Aim: 1.03},
		}, Missing: []string{"nginx (is not installed)"},
	}}}
}

func TestRatiosAreWithinRounds(t *testing.T) {
	// In the second round, the machine was half as fast for both.
	if got, want := *Ratios([]float64{11, 22, 12}, []float64{10, 20, 10}), (Spread{1.1, 1.1, 1.2}); got != want {
		t.Errorf("ratios are %v, want %v", got, want)
	}
	if got, want := SpreadOf([]float64{4, 1, 2, 3}), (Spread{2.5, 1, 4}); got != want {
		t.Errorf("spread is %v, want %v", got, want)
	}
}

func TestPageSaysEverything(t *testing.T) {
	page, err := sample().page()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n## Decision\n", "| bare & quick | 10.0 | **1.10 ×** (1.00 × – 1.20 ×) | ≤ 1.03 × |", "| slow | 400 | **0.028 ×** (0.028 × – 0.028 ×) | ≤ 0.029 × |",
		"**Left out:** nginx (is not installed).",
		"(performance-decision.svg)", "```bash\nmake bench\n```",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	busy := sample()
	busy.Machine.Load = 2
	if page, _ := busy.page(); !strings.Contains(string(page), "**the machine had other work**") {
		t.Error("the page does not say that the machine was busy")
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"performance-gone.svg", "other.svg"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := sample().Write(dir); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"other.svg", "performance-decision.svg", "performance.json", "performance.md"}; !slices.Equal(names, want) {
		t.Errorf("files are %v, want %v", names, want)
	}
	read, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := sample().page()
	if got, _ := read.page(); string(got) != string(want) {
		t.Errorf("the page of what was read is\n%s", got)
	}
}

// A chart is a drawing that any browser shows, without a script.
func TestChartIsXML(t *testing.T) {
	chart := sample().Contests[0].chart()
	texts := 0
	for d := xml.NewDecoder(strings.NewReader(string(chart))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, chart)
		}
		if e, ok := token.(xml.StartElement); ok {
			if e.Name.Local == "text" {
				texts++
			} else if e.Name.Local == "script" {
				t.Error("there is a script")
			}
		}
	}
	if want := 2 + 2*3; texts != want { // title and unit, and name and value of three bars
		t.Errorf("there are %d texts, want %d", texts, want)
	}
}
