package io.ksm4j.samples.cacheserver;

/** What commands of one client have set for those that follow. For use by one thread. */
final class Session {

    final long id;
    int tenant;
    String name = "";
    boolean quit;

    Session(long id) {
        this.id = id;
    }
}
