// SPDX-License-Identifier: Apache-2.0

// Package arch holds the test that keeps the house standing as designed: who may import whom.
//
// There are two tables, both in rules.go. The rooms give every package a floor; a package imports only what stands below it, or what is
// in its own room. The bans keep libraries and duties where they belong, each with its reason. Only what ships is checked, not the
// imports of test files.
package arch
