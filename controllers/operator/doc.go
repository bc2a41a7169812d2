// SPDX-License-Identifier: Apache-2.0

// Package operator turns the one MetalLB resource into the workloads of the suite and says on the resource how they fare.
//
// Deciding what should exist is pure (Render); so is what the resource's conditions say (summarise). The reconciler between them reads,
// applies, prunes and patches the status once. It creates no service account and no RBAC: those ship with the package. It does not know
// what its operands do, only the flags and mounts they are started with. One worker reconciles; nothing else is shared.
package operator
