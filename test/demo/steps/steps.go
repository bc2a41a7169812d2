// SPDX-License-Identifier: Apache-2.0

// Package steps runs a demonstration step by step and shows in a table what was seen. It has the steps that all demonstrations share.
package steps

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Step is one line of the table.
type Step struct {
	Name string
	// Run returns what was seen.
	Run func(context.Context) (string, error)
}

// Table is what the steps have shown so far.
type Table struct{ rows []row }

type row struct {
	step, seen string
	took       time.Duration
}

// Run carries out steps, in order, up to the first that fails.
func (t *Table) Run(ctx context.Context, steps ...Step) error {
	for _, s := range steps {
		fmt.Printf("--- %s\n", s.Name)
		begin := time.Now()
		seen, err := s.Run(ctx)
		if err != nil {
			t.rows = append(t.rows, row{s.Name, "FAILED", time.Since(begin)})
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		t.rows = append(t.rows, row{s.Name, seen, time.Since(begin)})
		fmt.Printf("    %s\n", seen)
	}
	return nil
}

// Print prints the steps with what was seen and how long each took.
func (t *Table) Print() {
	fmt.Printf("\n%-36s %-66s %9s\n%s\n", "step", "seen", "time", strings.Repeat("-", 113))
	for _, r := range t.rows {
		fmt.Printf("%-36s %-66s %8.2fs\n", r.step, r.seen, r.took.Seconds())
	}
	fmt.Println()
}
