package io.ksm4j.samples.cacheserver;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.stream.Collectors;

/** The last ten minutes in points, so that a page opened later shows them too. Not thread-safe. */
final class History {

    /** From point to point. */
    static final int SECONDS = 5;

    private static final int POINTS = 600 / SECONDS;

    private final Deque<String> points = new ArrayDeque<>(POINTS);

    void add(Snapshot snapshot, long timeMillis) {
        if (points.size() == POINTS) {
            points.remove();
        }
        points.add(Json.point(snapshot, timeMillis));
    }

    /** All points, the oldest first, as a JSON array. */
    String json() {
        return points.stream().collect(Collectors.joining(",", "[", "]"));
    }
}
