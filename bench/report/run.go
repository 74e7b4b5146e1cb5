package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A Run is everything that was measured at one time on one machine.
type Run struct {
	Date     string    `json:"date"`
	Command  string    `json:"command"` // that does it again
	Machine  Machine   `json:"machine"`
	Versions []Version `json:"versions"`
	Contests []Contest `json:"contests"`
}

// A Machine is what it was measured on. It has no name.
type Machine struct {
	CPU        string  `json:"cpu"`
	Processors int     `json:"processors"` // that were used: the servers had one, and all else the other
	Kernel     string  `json:"kernel"`
	Load       float64 `json:"load"` // how many others wanted to run in the minute before
}

// A Version is that of a contestant, or of what built it.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A Contest is one kind of work, which several did in turn.
type Contest struct {
	Name    string   `json:"name"` // of its heading and of its chart
	Title   string   `json:"title"`
	About   string   `json:"about"` // what was done, in sentences
	Unit    string   `json:"unit"`  // of values; less is better
	Rounds  int      `json:"rounds"`
	Rows    []Row    `json:"rows"`              // the first is Gatehouse
	Missing []string `json:"missing,omitempty"` // who could not take part
}

// A Row is one contestant.
type Row struct {
	Name  string `json:"name"`
	Value Spread `json:"value"` // over the rounds
	// Ratio is how many times as much Gatehouse took in the same round. Nil in its own row.
	Ratio *Spread `json:"ratio,omitempty"`
	// Aim is what the ratio may be at most; in the row of Gatehouse itself, what the value may be. 0 if there is none.
	Aim float64 `json:"aim,omitempty"`
	// Note is said beside it.
	Note string `json:"note,omitempty"`
}

// A Spread is the median of some values, and between which they were.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf returns the spread of some values.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// Ratios returns the spread of the ratios within each round: a machine whose speed drifts slows both.
func Ratios(values, to []float64) *Spread {
	ratios := make([]float64, min(len(values), len(to)))
	for i := range ratios {
		ratios[i] = values[i] / to[i]
	}
	s := SpreadOf(ratios)
	return &s
}

// Write writes the data, the page and the charts into dir. Charts of contests that are no more are removed.
func (r *Run) Write(dir string) error {
	slices.SortFunc(r.Versions, func(a, b Version) int { return cmp.Compare(a.Name, b.Name) })
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode run: %w", err)
	}
	page, err := r.page()
	if err != nil {
		return err
	}
	files := map[string][]byte{"performance.json": append(data, '\n'), "performance.md": page}
	for _, c := range r.Contests {
		files[chartOf(c)] = c.chart()
	}
	old, err := filepath.Glob(filepath.Join(dir, chartOf(Contest{Name: "*"})))
	if err != nil {
		return fmt.Errorf("find charts: %w", err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what Write has written.
func Read(dir string) (*Run, error) {
	data, err := os.ReadFile(filepath.Join(dir, "performance.json"))
	if err != nil {
		return nil, err
	}
	r := new(Run)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	return r, nil
}

func chartOf(c Contest) string { return "performance-" + c.Name + ".svg" }
