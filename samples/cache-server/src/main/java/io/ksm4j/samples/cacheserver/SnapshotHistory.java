// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.stream.Collectors;

/** The points of the last ten minutes, so that a page opened later can show them. Not thread-safe. */
final class SnapshotHistory {

    /** The interval between two points. */
    static final int SECONDS = 5;

    private static final int POINTS = 600 / SECONDS;

    private final Deque<String> points = new ArrayDeque<>(POINTS);

    void add(Snapshot snapshot, long timeMillis) {
        if (points.size() == POINTS) {
            points.remove();
        }
        points.add(SnapshotJson.point(snapshot, timeMillis));
    }

    /** Returns all points as a JSON array, oldest first. */
    String json() {
        return points.stream().collect(Collectors.joining(",", "[", "]"));
    }
}
