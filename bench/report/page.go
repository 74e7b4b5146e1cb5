package report

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageTemplate string

// page returns the page that shows the run.
func (r *Run) page() ([]byte, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"chart": chartOf, "alt": Contest.alt, "table": Contest.table,
		"anchor": func(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") },
	}).Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	var page bytes.Buffer
	if err := t.Execute(&page, r); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return page.Bytes(), nil
}

// table returns the rows as Markdown.
func (c Contest) table() string {
	var t strings.Builder
	fmt.Fprintf(&t, "| | %s | Gatehouse takes | aim |\n| --- | --- | --- | --- |\n", c.Unit)
	for _, row := range c.Rows {
		ratio, aim := "", ""
		if row.Ratio != nil {
			ratio = fmt.Sprintf("**%s** (%s – %s)", times(row.Ratio.Median), times(row.Ratio.Min), times(row.Ratio.Max))
		}
		switch {
		case row.Aim > 0 && row.Ratio != nil:
			aim = "≤ " + times(row.Aim)
		case row.Aim > 0:
			aim = "≤ " + number(row.Aim) + " " + firstWord(c.Unit)
		}
		value := number(row.Value.Median)
		if row.Note != "" {
			value += ", " + row.Note
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s |\n", row.Name, value, ratio, aim)
	}
	return t.String()
}

// alt says in words what the chart shows.
func (c Contest) alt() string {
	parts := make([]string, len(c.Rows))
	for i, row := range c.Rows {
		parts[i] = row.Name + " " + number(row.Value.Median)
	}
	return c.Title + ", " + c.Unit + ": " + strings.Join(parts, "; ")
}

// Text returns the contest as it is printed.
func (c Contest) Text() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s: %s, and how many times as much Gatehouse takes (from - to)\n", c.Title, c.Unit)
	for _, row := range c.Rows {
		ratio, aim := "", ""
		if row.Ratio != nil {
			ratio = fmt.Sprintf("%s (%s - %s)", times(row.Ratio.Median), factor(row.Ratio.Min), factor(row.Ratio.Max))
		}
		switch {
		case row.Aim > 0 && row.Ratio != nil:
			aim = "aim " + factor(row.Aim)
		case row.Aim > 0:
			aim = "aim " + number(row.Aim)
		}
		line := fmt.Sprintf("  %-54s %8s   %-22s %-10s %s", row.Name, number(row.Value.Median), ratio, aim, row.Note)
		t.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	for _, m := range c.Missing {
		fmt.Fprintf(&t, "  LEFT OUT: %s\n", m)
	}
	return t.String()
}

// times returns a ratio as it is quoted.
func times(ratio float64) string { return factor(ratio) + " ×" }

// factor returns a ratio in two decimals, and a small one in three, of which two would be off by several percent.
func factor(ratio float64) string {
	if ratio < 0.2 {
		return strconv.FormatFloat(ratio, 'f', 3, 64)
	}
	return strconv.FormatFloat(ratio, 'f', 2, 64)
}

// number returns a value in three digits or more.
func number(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
