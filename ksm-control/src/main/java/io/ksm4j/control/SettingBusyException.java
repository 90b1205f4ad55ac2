package io.ksm4j.control;

/**
 * The setting changes only while no page is merged, and some are: setting {@link KsmSetting#RUN} to 2 takes all merged pages of the
 * machine apart, which needs memory for all of them.
 */
public final class SettingBusyException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    SettingBusyException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
