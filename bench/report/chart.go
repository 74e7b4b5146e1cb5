package report

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// A chart is as wide as a telephone, so that its text is as large as that around it there, and is not blown up on a desk. Its text is
// text, it needs no script, and its colours follow those of whoever reads it.
const (
	chartWidth = 420
	rowHeight  = 44
	barHeight  = 14
	topMargin  = 44
	valueWidth = 64 // at the end of the longest bar
)

const chartStyle = `text{font:14px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600}.u{font-size:12px;fill:#59636e}` +
	`.g{fill:#0969da}.o{fill:#8c959f}.b{fill:#fff}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.u{fill:#9198a1}.g{fill:#4493f8}.o{fill:#6e7681}.b{fill:#0d1117}}`

// chart returns the contest as a drawing, a bar for each row.
func (c Contest) chart() []byte {
	most := 0.0
	for _, row := range c.Rows {
		most = max(most, row.Value.Median)
	}
	heading := wrap(c.Title, 50)
	top := topMargin + 20*(len(heading)-1)
	height := top + rowHeight*len(c.Rows) + 8
	var s bytes.Buffer
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&s, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(c.alt()), chartStyle)
	fmt.Fprintf(&s, `<rect class="b" width="%d" height="%d"/>`+"\n", chartWidth, height)
	for i, line := range heading {
		fmt.Fprintf(&s, `<text class="t" x="8" y="%d">%s</text>`+"\n", 20+20*i, html.EscapeString(line))
	}
	fmt.Fprintf(&s, `<text class="u" x="8" y="%d">%s, less is better</text>`+"\n", top-6, html.EscapeString(c.Unit))
	for i, row := range c.Rows {
		y := top + i*rowHeight
		class := "o"
		if strings.HasPrefix(row.Name, "Gatehouse") {
			class = "g"
		}
		width := 0.0
		if most > 0 {
			width = row.Value.Median / most * (chartWidth - 16 - valueWidth)
		}
		fmt.Fprintf(&s, `<text x="8" y="%d">%s</text>`+"\n", y+18, html.EscapeString(row.Name))
		fmt.Fprintf(&s, `<rect class="%s" x="8" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, y+24, max(width, 1), barHeight)
		fmt.Fprintf(&s, `<text x="%.1f" y="%d">%s</text>`+"\n", 8+width+6, y+36, number(row.Value.Median))
	}
	s.WriteString("</svg>\n")
	return s.Bytes()
}

// wrap breaks a line between words where it has more than most characters.
func wrap(text string, most int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line+" "+word) > most:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
