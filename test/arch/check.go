// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// node is a package as "go list" tells it.
type node struct {
	ImportPath    string
	Imports, Deps []string
	Standard      bool
}

// graph holds the packages of the module and everything that they need, by import path. The paths of the module's own packages are
// written from its root: "./internal/election", and "." for the root itself.
type graph map[string]node

func own(path string) bool { return path == "." || strings.HasPrefix(path, "./") }

// match tells whether a path is meant by one of the patterns: a path, or a path and "/..." for it and all below.
func match(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, below := strings.CutSuffix(pattern, "/...")
		return path == root || below && strings.HasPrefix(path, root+"/")
	})
}

// members returns the packages of the module in a stable order.
func (g graph) members() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(g)), func(path string) bool { return !own(path) })
}

// standard tells whether a path is of the standard library; what is not in the graph is not.
func (g graph) standard(path string) bool { return g[path].Standard || path == "C" || path == "unsafe" }

// checkRooms returns every import that runs upwards or into another room of the same floor, every package without a room and every
// room without a package.
func checkRooms(g graph, rooms []room) []string {
	var found []string
	used := make([]bool, len(rooms))
	for _, path := range g.members() {
		at := roomOf(rooms, path)
		if at < 0 {
			found = append(found, path+" has no room: give it a floor in test/arch/rules.go")
			continue
		}
		used[at] = true
		for _, i := range g[path].Imports {
			if to := roomOf(rooms, i); own(i) && to >= 0 && to != at && rooms[to].floor >= rooms[at].floor {
				found = append(found, fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports run down", path, rooms[at].floor, i, rooms[to].floor))
			}
		}
	}
	for i, r := range rooms {
		if !used[i] && !r.planned {
			found = append(found, fmt.Sprintf("the room of %s is empty", r.packages))
		}
	}
	return found
}

func roomOf(rooms []room, path string) int {
	return slices.IndexFunc(rooms, func(r room) bool { return match(r.packages, path) })
}

// checkBans returns every forbidden import, and every ban that meets no package.
func checkBans(g graph, bans []ban) []string {
	var found []string
	for _, b := range bans {
		met := false
		for _, path := range g.members() {
			if match(b.packages, path) && !match(b.except, path) {
				met = true
				found = append(found, b.check(g, path)...)
			}
		}
		if !met && !b.planned {
			found = append(found, fmt.Sprintf("the ban for %s meets no package (%s)", b.packages, b.why))
		}
	}
	return found
}

func (b ban) check(g graph, path string) []string {
	imports := g[path].Imports
	if b.indirect {
		imports = g[path].Deps
	}
	var found []string
	for _, i := range imports {
		if b.forbids(g, i) {
			found = append(found, fmt.Sprintf("%s imports %s%s: %s", path, i, g.way(path, i), b.why))
		}
	}
	return found
}

func (b ban) forbids(g graph, path string) bool {
	if match(b.forbid, path) {
		return true
	}
	return len(b.allow) > 0 && !g.standard(path) && !match(b.allow, path)
}

// way says by which import of its own a package got another one; empty when it imports that itself.
func (g graph) way(from, to string) string {
	if slices.Contains(g[from].Imports, to) {
		return ""
	}
	for _, i := range g[from].Imports {
		if slices.Contains(g[i].Deps, to) {
			return " by way of " + i
		}
	}
	return ""
}
