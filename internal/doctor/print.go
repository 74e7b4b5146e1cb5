package doctor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

const (
	width        = 80
	mostEvidence = 4 // of one finding is printed; JSON has all
)

// Print writes a report for people, at most 80 columns wide where words allow it.
func (r *Report) Print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s", r.Target)
	if r.Front != "" {
		fmt.Fprintf(&b, ", behind %s", r.Front)
	}
	b.WriteString("\n")
	for _, f := range r.Findings {
		f.print(&b)
	}
	section(&b, "As it should be", r.Passed)
	var lines []string
	for _, u := range r.NotChecked {
		lines = append(lines, u.What+": "+u.Why)
	}
	section(&b, "Not checked", lines)
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	_, err := w.Write(b.Bytes())
	return err
}

func (f *Finding) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n")
	wrap(b, strings.ToUpper(string(f.Severity))+": ", f.Title+" ["+f.ID+"]")
	for i, ev := range f.Evidence {
		if i == mostEvidence {
			fmt.Fprintf(b, "  and %d more; --json has all\n", len(f.Evidence)-i)
			break
		}
		for j, line := range ev.Sent {
			fmt.Fprintf(b, "  %-5s %s\n", map[bool]string{true: "sent"}[j == 0], line)
		}
		wrap(b, "  came  ", ev.Came)
	}
	wrap(b, "  why   ", f.Why)
	wrap(b, "  mend  ", f.Mend)
}

func section(b *bytes.Buffer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, line := range lines {
		wrap(b, "  - ", line)
	}
}

// wrap writes text after a label, and goes on below its beginning.
func wrap(b *bytes.Buffer, label, text string) {
	line := label
	indent := strings.Repeat(" ", len(label))
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			line += word
		case len(line)+1+len(word) > width:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
}

// summary is the last line.
func (r *Report) summary() string {
	count := map[Severity]int{}
	for _, f := range r.Findings {
		count[f.Severity]++
	}
	var parts []string
	for _, s := range severities {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	found := "Nothing found"
	if len(parts) > 0 {
		found = "Found: " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("Requests: %d. %s. Not checked: %d.", r.Requests, found, len(r.NotChecked))
}
