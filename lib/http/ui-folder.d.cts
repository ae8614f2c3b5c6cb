/** Where the build has put the admin UI. */
export const UI_FOLDER: string;
