// Package model has the rows of the tables; relations are resolvers.
package model

import "time"

type User struct {
	ID       string
	Username string
	FullName *string
}

type Comment struct {
	ID       string
	Body     string
	AuthorID string
	TaskID   string
}

type Task struct {
	ID         string
	Number     *int
	Title      string
	Status     int
	Priority   int
	Tags       []string
	Position   string
	DueAt      *time.Time
	StartAt    *time.Time
	Estimate   *int
	CreatedAt  time.Time
	Version    int
	AssigneeID *string
	ProjectID  *string
}

type Project struct {
	ID      string
	Name    string
	Key     string
	OwnerID string
}
