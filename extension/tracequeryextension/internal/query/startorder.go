package query

import (
	"slices"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// startOrder sorts the spans by start; of equal ones a parent stands before its children.
func startOrder(tree *tracetree.Tree) []int {
	order := make([]int, 0, len(tree.Nodes))
	// In depth-first order parents stand before their children, and a stable sort keeps that.
	reached := make([]bool, len(tree.Nodes))
	var stack []int
	visit := func(root int) {
		stack = append(stack, root)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if reached[i] {
				continue
			}
			reached[i] = true
			order = append(order, i)
			for _, child := range slices.Backward(tree.Children(i)) {
				stack = append(stack, child)
			}
		}
	}
	for _, root := range tree.Roots {
		visit(root)
	}
	for i := range tree.Nodes { // none is lost, whatever the tree makes of broken input
		visit(i)
	}
	SortByStart(tree, order)
	return order
}

// SortByStart sorts spans in which parents stand before their children; of equal starts they stay as they are.
func SortByStart(tree *tracetree.Tree, order []int) {
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case tree.Nodes[a].Start < tree.Nodes[b].Start:
			return -1
		case tree.Nodes[a].Start > tree.Nodes[b].Start:
			return 1
		}
		return 0
	})
}
