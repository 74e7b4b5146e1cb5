// Package report is what a run of the benchmarks came to, and how it is shown: as data (performance.json), as a page with tables
// (performance.md), and as charts (performance-NAME.svg).
package report
