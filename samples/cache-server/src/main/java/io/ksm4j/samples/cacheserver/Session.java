package io.ksm4j.samples.cacheserver;

/** The state that the commands of one client share. Not thread-safe. */
final class Session {

    final long id;
    int tenant;
    String name = "";
    boolean quit;

    Session(long id) {
        this.id = id;
    }
}
